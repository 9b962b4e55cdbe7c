"""OpenAI's chat completions, and every server that speaks them.

Servers differ in small things, so the adapter knows two sorts by host: OpenAI itself (and Azure OpenAI), which takes
`max_completion_tokens` (its reasoning models refuse `max_tokens`), the role `developer`, and no `top_k`; and the
compatible servers (vLLM, llama.cpp, Ollama, OpenRouter and others), which all know `max_tokens`, mostly not
`developer`, and take `top_k`. What a server wants differently can be set through the parameter `extra`: its fields
overwrite the body's, null removes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2
import openai

from promptops.engines.failures import MalformedResponseError, error_from_body
from promptops.engines.http_engine import HttpEngine, StreamReader
from promptops.engines.parameters import extra_fields, given_parameters
from promptops.engines.types import (
    CompletionRequest,
    CompletionResult,
    Connection,
    EngineError,
    ErrorKind,
    FinishReason,
    JsonObject,
    Usage,
)
from promptops.engines.usage import believed_usage, estimated_usage

DEFAULT_BASE_URL = "https://api.openai.com/v1"

OFFICIAL_HOSTS = (".openai.com", ".openai.azure.com")

FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}
"""Other words (some servers say "eos" or "end_turn") mean an ordinary end."""


class OpenAIEngine(HttpEngine):
    """`Engine` over chat completions."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        base_url = connection.base_url or DEFAULT_BASE_URL
        host = httpx2.URL(base_url).host
        self.official = f".{host}".endswith(OFFICIAL_HOSTS)
        self.client = openai.AsyncOpenAI(
            # The SDK refuses an empty key and would otherwise look into the environment; local servers need none.
            api_key=connection.api_key or "none",
            admin_api_key="",
            organization="",
            project="",
            webhook_secret="",
            base_url=base_url,
            max_retries=0,
            http_client=self.http,
        )

    def body(self, request: CompletionRequest, *, stream: bool) -> dict[str, Any]:
        parameters = given_parameters("openai", request)
        extra = extra_fields(parameters)
        if self.official and "top_k" in parameters:
            raise EngineError(ErrorKind.BAD_REQUEST, "OpenAI has no parameter 'top_k'. Remove it from the parameters.")
        if self.official and "max_tokens" in parameters:
            parameters["max_completion_tokens"] = parameters.pop("max_tokens")
        body: dict[str, Any] = {
            "model": request.model_name,
            "messages": [self._message(message) for message in request.messages],
            **parameters,
        }
        if request.output_schema is not None:
            body["response_format"] = _response_format(request.output_schema)
        if stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        body.update(extra)
        return {name: value for name, value in body.items() if name not in extra or value is not None}

    async def post(self, body: dict[str, Any]) -> httpx2.Response:
        return await self.client.post(
            "/chat/completions",
            cast_to=httpx2.Response,
            body=body,
            options={"timeout": self.http.timeout},
            stream=True,
            stream_cls=openai.AsyncStream[Any],
        )  # type: ignore[return-value]

    def result(self, answer: dict[str, Any], request: CompletionRequest) -> CompletionResult:
        if answer.get("error"):
            raise error_from_body(answer)
        choice = _first_choice(answer)
        if choice is None:
            raise MalformedResponseError("it has no choices")
        message = choice.get("message")
        if not isinstance(message, Mapping):
            raise MalformedResponseError("its choice has no message")
        refusal = _string(message.get("refusal"))
        text = _string(message.get("content")) or refusal
        tool_calls = tuple(call for call in message.get("tool_calls") or () if isinstance(call, dict))
        finish = "content_filter" if refusal else _finish_reason(choice.get("finish_reason"))
        return _result(request, answer, text, finish, answer.get("usage"), tool_calls)

    def reader(self, request: CompletionRequest) -> StreamReader:
        return _ChunkReader(request)

    def _message(self, message: JsonObject) -> JsonObject:
        if message.get("role") == "developer" and not self.official:
            return {**message, "role": "system"}
        return message


class _ChunkReader(StreamReader):
    def __init__(self, request: CompletionRequest) -> None:
        super().__init__(request)
        self.head: dict[str, Any] = {}
        self.usage: object = None
        self.finish: FinishReason | None = None
        self.refused = False
        self.tool_calls: dict[int, dict[str, Any]] = {}

    def read(self, event: dict[str, Any]) -> str:
        if event.get("error"):
            raise error_from_body(event)
        for name in ("id", "model", "system_fingerprint"):
            if event.get(name) is not None:
                self.head[name] = event[name]
        if event.get("usage") is not None:
            self.usage = event["usage"]
        choice = _first_choice(event)
        if choice is None:
            return ""
        if choice.get("finish_reason"):
            self.finish = _finish_reason(choice["finish_reason"])
        delta = choice.get("delta")
        if not isinstance(delta, Mapping):
            return ""
        self._merge_tool_calls(delta.get("tool_calls"))
        refusal = _string(delta.get("refusal"))
        self.refused = self.refused or bool(refusal)
        return _string(delta.get("content")) or refusal

    @property
    def complete(self) -> bool:
        return self.finish is not None

    def result(self) -> CompletionResult:
        finish: FinishReason = "content_filter" if self.refused else self.finish or "stop"
        calls = tuple(self.tool_calls[index] for index in sorted(self.tool_calls))
        return _result(self.request, self.head, self.text, finish, self.usage, calls, self.first_token_after)

    def _merge_tool_calls(self, pieces: object) -> None:
        for piece in pieces if isinstance(pieces, list) else ():
            if not isinstance(piece, Mapping):
                raise MalformedResponseError("a tool call is no object")
            index = piece.get("index", 0)
            blank = {"id": None, "type": "function", "function": {"name": "", "arguments": ""}}
            call = self.tool_calls.setdefault(index if isinstance(index, int) else 0, blank)
            call["id"] = piece.get("id") or call["id"]
            function = piece.get("function")
            if isinstance(function, Mapping):
                call["function"]["name"] += _string(function.get("name"))
                call["function"]["arguments"] += _string(function.get("arguments"))


def _result(
    request: CompletionRequest,
    head: Mapping[str, Any],
    text: str,
    finish: FinishReason,
    usage: object,
    tool_calls: tuple[JsonObject, ...],
    first_token_after: float | None = None,
) -> CompletionResult:
    return CompletionResult(
        text=text,
        finish_reason=finish,
        usage=_usage(request, text, usage),
        response_model=_string(head.get("model")) or None,
        response_id=_string(head.get("id")) or None,
        system_fingerprint=_string(head.get("system_fingerprint")) or None,
        time_to_first_token=first_token_after,
        tool_calls=tool_calls,
    )


def _usage(request: CompletionRequest, text: str, usage: object) -> Usage:
    if not isinstance(usage, Mapping):
        return estimated_usage(request, text)
    return believed_usage(
        request,
        text,
        input_tokens=usage.get("prompt_tokens"),
        output_tokens=usage.get("completion_tokens"),
        cached_input_tokens=_detail(usage, "prompt_tokens_details", "cached_tokens"),
        reasoning_tokens=_detail(usage, "completion_tokens_details", "reasoning_tokens"),
    )


def _detail(usage: Mapping[str, Any], group: str, name: str) -> object:
    details = usage.get(group)
    return details.get(name) if isinstance(details, Mapping) else 0


def _first_choice(answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The answer's first choice; None where there is none (the last chunk of a stream carries only the usage)."""
    choices = answer.get("choices")
    if choices is None or choices == []:
        return None
    if not isinstance(choices, list) or not isinstance(choices[0], Mapping):
        raise MalformedResponseError("its choices are no list of objects")
    return choices[0]


def _finish_reason(value: object) -> FinishReason:
    if value == "error":
        raise EngineError(ErrorKind.SERVER_ERROR, "The provider ended the answer with an error.", billed="maybe")
    return FINISH_REASONS.get(value, "stop") if isinstance(value, str) else "stop"


def _string(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    raise MalformedResponseError(f"a text in it is a {type(value).__name__}")


def _response_format(schema: JsonObject) -> dict[str, Any]:
    """`strict` only where the schema is of the kind that strict mode takes; otherwise OpenAI refuses the call."""
    return {
        "type": "json_schema",
        "json_schema": {"name": "output", "schema": dict(schema), "strict": _allows_strict(schema)},
    }


def _allows_strict(schema: object) -> bool:
    """Every object closed, and each of its properties required (OpenAI, "Structured outputs: supported schemas")."""
    if isinstance(schema, list):
        return all(_allows_strict(part) for part in schema)
    if not isinstance(schema, Mapping):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required") or ()) != set(schema.get("properties") or ()):
            return False
    return all(_allows_strict(part) for name, part in schema.items() if name not in ("enum", "const", "default"))
