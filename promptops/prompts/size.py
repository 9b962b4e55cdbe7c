"""How large a rendered prompt is for an endpoint: tokens, share of the context window, and what a run would cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.conf import settings

from promptops.catalog.models import Endpoint, Provider
from promptops.catalog.prices import estimate_cost
from promptops.engines import DEFAULT_MAX_TOKENS, EngineError, count_texts, count_tokens
from promptops.engines.tokens import estimate_prompt, estimate_text, message_texts

# Above this many characters a tokenizer would make whoever types wait (about 0.1 s a megabyte); then it is estimated.
MAX_COUNTED = 400_000


@dataclass(frozen=True)
class Size:
    """Tokens of a prompt on an endpoint.

    Args:
        tokens: of the whole prompt, as the model gets it; ``by_message`` leaves out what the chat format adds.
        estimated: no tokenizer of that model is at hand.
        answer_limit: the most tokens that the answer may have; None: nobody set a limit.
        window: tokens that prompt and answer share; None: unknown.
        prompt_cost: USD for the prompt alone; None: the price is not known.
        most_cost: USD with an answer of ``answer_limit``; None where that or the price is not known.
        refusal: why this model cannot take these messages at all.
    """

    tokens: int
    by_message: list[int]
    estimated: bool
    answer_limit: int | None = None
    window: int | None = None
    prompt_cost: Decimal | None = None
    most_cost: Decimal | None = None
    refusal: str = ""

    @property
    def share_percent(self) -> int:
        """Of the context window, as far as it is known, that the prompt takes."""
        return round(100 * self.tokens / self.window) if self.window else 0

    @property
    def bar_used(self) -> str:
        """The prompt's part of a bar 100 wide; a small prompt can still be seen."""
        return f"{self._used:.2f}"

    @property
    def bar_answer(self) -> str:
        """The longest answer's part of that bar, as much as is left."""
        wanted = 100 * (self.answer_limit or 0) / self.window if self.window else 0.0
        return f"{min(wanted, 100 - self._used):.2f}"

    @property
    def _used(self) -> float:
        return min(100.0, max(0.5, 100 * self.tokens / self.window)) if self.window else 0.0

    @property
    def overflows(self) -> bool:
        """The prompt alone does not fit."""
        return self.window is not None and self.tokens >= self.window

    @property
    def cuts_answer(self) -> bool:
        """The prompt fits, but not together with the longest answer."""
        both = self.tokens + (self.answer_limit or 0)
        return self.window is not None and not self.overflows and both > self.window


def size_of(endpoint: Endpoint | None, messages: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any]) -> Size:
    """Return the size of rendered messages.

    Args:
        endpoint: None where the project has none yet: then the tokens are an estimate, and nothing else is known.
        parameters: the prompt's; the endpoint's own stand below them.
    """
    plain = [dict(message) for message in messages]
    if endpoint is None:
        return _estimate(plain)
    size = _counted(endpoint, plain)
    limit = answer_limit(endpoint, parameters)
    return replace(
        size,
        answer_limit=limit,
        window=endpoint.context_window,
        prompt_cost=estimate_cost(endpoint, size.tokens, 0),
        most_cost=None if limit is None else estimate_cost(endpoint, size.tokens, limit),
    )


def answer_limit(endpoint: Endpoint, parameters: Mapping[str, Any]) -> int | None:
    """Return the longest answer in tokens that a run would allow; None where nothing limits it."""
    given = parameters.get("max_tokens") or endpoint.parameters.get("max_tokens")
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    return DEFAULT_MAX_TOKENS.get(endpoint.provider)


def _counted(endpoint: Endpoint, messages: list[dict[str, Any]]) -> Size:
    if sum(len(text) for message in messages for text in message_texts(message)) > MAX_COUNTED:
        return _estimate(messages)
    folder = settings.LOCAL_MODELS_DIR / endpoint.model_folder if endpoint.provider == Provider.LOCAL else None
    try:
        counted = count_tokens(endpoint.provider, endpoint.model_name, messages, model_dir=folder)
    except EngineError as error:
        return replace(_estimate(messages), refusal=str(error))
    by_message = count_texts(endpoint.provider, endpoint.model_name, messages, model_dir=folder)
    return Size(counted.tokens, by_message, counted.estimated)


def _estimate(messages: list[dict[str, Any]]) -> Size:
    by_message = [sum(map(estimate_text, message_texts(message))) for message in messages]
    return Size(estimate_prompt(messages), by_message, estimated=True)
