"""Whether to believe the token numbers that a provider sent, and what to do when not."""

from __future__ import annotations

import json
from typing import Any

from promptops.engines.tokens import estimate_prompt, estimate_text
from promptops.engines.types import CompletionRequest, Usage

TOKEN_CEILING = 20_000_000
"""No context window comes near this; a larger number is a defect of the server."""

HIDDEN_PROMPT_TOKENS = 20_000
"""A server may add its own instructions and tool descriptions to the prompt; more than this on top is a defect."""


def believed_usage(
    request: CompletionRequest,
    text: str,
    *,
    input_tokens: object,
    output_tokens: object,
    cached_input_tokens: object = 0,
    cache_write_tokens: object = 0,
    reasoning_tokens: object = 0,
) -> Usage:
    """The provider's numbers where they can be true, otherwise our own estimate with `estimated` set.

    A number is refused when it is no whole number, negative, zero for a text that is not empty, more than the prompt's
    bytes could make (plus `HIDDEN_PROMPT_TOKENS`), more than max_tokens, or when a part exceeds its whole.
    """
    believed_input = _believed_input(request, input_tokens)
    believed_output = _believed_output(request, text, output_tokens)
    parts = [_whole_number(part or 0) for part in (cached_input_tokens, cache_write_tokens, reasoning_tokens)]
    if believed_input is None or believed_output is None or None in parts:
        return estimated_usage(request, text, believed_input, believed_output)
    cached, written, reasoning = (part or 0 for part in parts)
    if cached + written > believed_input or reasoning > believed_output:
        return estimated_usage(request, text, believed_input, believed_output)
    return Usage(believed_input, believed_output, cached, written, reasoning)


def estimated_usage(
    request: CompletionRequest, text: str, input_tokens: int | None = None, output_tokens: int | None = None
) -> Usage:
    """Usage counted here; a number that is known is kept."""
    return Usage(
        input_tokens=estimate_prompt(request.messages) if input_tokens is None else input_tokens,
        output_tokens=estimate_text(text) if output_tokens is None else output_tokens,
        estimated=True,
    )


def _believed_input(request: CompletionRequest, value: object) -> int | None:
    tokens = _whole_number(value)
    if not tokens:
        return None
    prompt: list[Any] = [dict(message) for message in request.messages]
    plain = all(isinstance(message.get("content"), str) for message in prompt) and not request.parameters.get("extra")
    if plain and tokens > len(json.dumps(prompt, ensure_ascii=False).encode("utf-8", "replace")) + HIDDEN_PROMPT_TOKENS:
        return None
    return tokens


def _believed_output(request: CompletionRequest, text: str, value: object) -> int | None:
    tokens = _whole_number(value)
    if tokens is None or (tokens == 0 and text):
        return None
    limit = request.parameters.get("max_tokens")
    # Some servers count the end mark as one more.
    if isinstance(limit, int) and tokens > limit + 16:
        return None
    return tokens


def _whole_number(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= TOKEN_CEILING else None
