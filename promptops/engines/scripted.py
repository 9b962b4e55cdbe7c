"""A deterministic engine without a model, for tests of what stands above the engines.

It answers with the last user text, after the system text in brackets if there is one; one word is one token. What a
call should do differently is said by the model's name, after a question mark, or by a user message that ends with the
same in double brackets:

    scripted?latency=0.2&tokens=50                   fifty words, 0.2 s spread over them
    scripted?error=rate_limited&retry_after=1&times=2   the first two calls (a prompt and an engine) fail
    "Hello [[error=truncated_stream&after=3]]"       three words, then the stream breaks

Directives: text, tokens, latency (seconds), error (an `ErrorKind`), message, retry_after, times, after (words before
the error), usage (none, absurd), finish (a finish reason).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from urllib.parse import parse_qsl

from promptops.engines.parameters import given_parameters
from promptops.engines.tokens import message_texts
from promptops.engines.types import (
    CompletionRequest,
    CompletionResult,
    Connection,
    EngineError,
    ErrorKind,
    FinishReason,
    StreamItem,
    TextDelta,
)
from promptops.engines.usage import believed_usage, estimated_usage

WORD = re.compile(r"\S+\s*|\s+")
DIRECTIVE = re.compile(r"\s*\[\[([a-z_]+=[^\]]*)\]\]")
FINISH_REASONS: tuple[FinishReason, ...] = ("stop", "length", "content_filter", "tool_calls", "cancelled")


class ScriptedEngine:
    """`Engine` that does what it is told."""

    def __init__(self, connection: Connection) -> None:
        self._failures: Counter[str] = Counter()

    async def complete(self, request: CompletionRequest) -> CompletionResult:
        async with aclosing(self.stream(request)) as items:
            async for item in items:
                if isinstance(item, CompletionResult):
                    return _unstreamed(item)
        raise AssertionError("the stream ends with a result")

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamItem, None]:
        parameters = given_parameters("scripted", request)
        directives = _directives(request)
        words, finish = _answer(request, directives, parameters.get("max_tokens"), parameters.get("stop", []))
        clock = asyncio.get_running_loop().time
        started = clock()
        pause = float(directives.get("latency", 0)) / max(1, len(words))
        failing_after = int(directives.get("after", 0)) if self._fails(request, directives) else None
        first: float | None = None
        sent = ""
        for index, word in enumerate([*words, ""]):
            if index == failing_after:
                raise _failure(directives, sent)
            if clock() - started + pause > request.timeout:
                await asyncio.sleep(max(0.0, started + request.timeout - clock()))
                raise EngineError(
                    ErrorKind.TIMEOUT, "The provider did not answer in time.", partial_text=sent, billed="maybe"
                )
            if pause or index % 64 == 0:
                await asyncio.sleep(pause)
            if word:
                first = clock() - started if first is None else first
                sent += word
                yield TextDelta(word)
        if failing_after is not None:
            raise _failure(directives, sent)
        yield _result(request, directives, words, finish, first)

    async def aclose(self) -> None:
        """Nothing is open."""

    def _fails(self, request: CompletionRequest, directives: dict[str, str]) -> bool:
        if "error" not in directives:
            return False
        if "times" not in directives:
            return True
        call = json.dumps([request.model_name, list(request.messages)], sort_keys=True, default=str)
        self._failures[call] += 1
        return self._failures[call] <= int(directives["times"])


def _directives(request: CompletionRequest) -> dict[str, str]:
    found = dict(parse_qsl(request.model_name.partition("?")[2]))
    for message in request.messages:
        for text in message_texts(message):
            for directive in DIRECTIVE.findall(text):
                found |= dict(parse_qsl(directive))
    return found


def _answer(
    request: CompletionRequest, directives: dict[str, str], max_tokens: int | None, stops: list[str]
) -> tuple[list[str], FinishReason]:
    texts = {"system": "", "user": ""}
    for message in request.messages:
        role = "system" if message.get("role") in ("system", "developer") else str(message.get("role"))
        texts[role] = DIRECTIVE.sub("", "".join(message_texts(message)))
    text = directives.get("text") or (f"[{texts['system']}] {texts['user']}" if texts["system"] else texts["user"])
    if "tokens" in directives:
        text = " ".join(f"word{number}" for number in range(int(directives["tokens"])))
    cuts = [text.index(stop) for stop in stops if stop in text]
    words: list[str] = WORD.findall(text[: min(cuts)] if cuts else text)
    if max_tokens is not None and len(words) > max_tokens:
        return words[:max_tokens], "length"
    wanted = [reason for reason in FINISH_REASONS if reason == directives.get("finish")]
    return words, wanted[0] if wanted else "stop"


def _failure(directives: dict[str, str], partial_text: str) -> EngineError:
    kind = ErrorKind(directives["error"])
    wait = directives.get("retry_after")
    return EngineError(
        kind,
        directives.get("message", f"Scripted failure: {kind.value}."),
        retry_after=float(wait) if wait else None,
        partial_text=partial_text,
        billed="yes" if partial_text else "no",
    )


def _result(
    request: CompletionRequest, directives: dict[str, str], words: list[str], finish: FinishReason, first: float | None
) -> CompletionResult:
    text = "".join(words)
    prompt_words = sum(len(WORD.findall(part)) for message in request.messages for part in message_texts(message))
    usage = believed_usage(
        request,
        text,
        input_tokens=prompt_words + 4,
        output_tokens=10**15 if directives.get("usage") == "absurd" else len(words),
    )
    if directives.get("usage") == "none":
        usage = estimated_usage(request, text)
    digest = hashlib.sha256(json.dumps([request.model_name, list(request.messages)], default=str).encode()).hexdigest()
    return CompletionResult(
        text=text,
        finish_reason=finish,
        usage=usage,
        response_model=request.model_name.partition("?")[0],
        response_id=f"scripted-{digest[:16]}",
        time_to_first_token=first,
    )


def _unstreamed(result: CompletionResult) -> CompletionResult:
    return CompletionResult(result.text, result.finish_reason, result.usage, result.response_model, result.response_id)
