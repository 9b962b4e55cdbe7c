"""Anthropic's messages.

The protocol differs from chat completions in four ways that are bridged here: system and developer messages, wherever
they stand, go joined into `system`; `max_tokens` is required (`DEFAULT_MAX_TOKENS` where none is set); pictures and
tool calls are blocks of their own kind; and the prompt's cached tokens are counted beside `input_tokens`, not within.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import anthropic
import httpx2

from promptops.engines.failures import MalformedResponseError, error_from_body
from promptops.engines.http_engine import HttpEngine, StreamReader
from promptops.engines.parameters import extra_fields, given_parameters
from promptops.engines.registry import DEFAULT_MAX_TOKENS
from promptops.engines.tokens import message_texts
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

DEFAULT_BASE_URL = "https://api.anthropic.com"

FINISH_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class AnthropicEngine(HttpEngine):
    """`Engine` over the messages API."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        base_url = (connection.base_url or DEFAULT_BASE_URL).rstrip("/")
        self.client = anthropic.AsyncAnthropic(
            # Given explicitly, so that the SDK reads no key, profile or token from the environment.
            api_key=connection.api_key or "none",
            # The SDK adds /v1 itself; people copy base URLs with it.
            base_url=base_url.removesuffix("/v1"),
            max_retries=0,
            http_client=self.http,
            open_telemetry=False,
        )

    def body(self, request: CompletionRequest, *, stream: bool) -> dict[str, Any]:
        parameters = given_parameters("anthropic", request)
        extra = extra_fields(parameters)
        if "stop" in parameters:
            parameters["stop_sequences"] = parameters.pop("stop")
        parameters.setdefault("max_tokens", DEFAULT_MAX_TOKENS["anthropic"])
        body: dict[str, Any] = {
            "model": request.model_name,
            "messages": [_message(message) for message in request.messages if not _is_system(message)],
            **parameters,
        }
        system = "\n\n".join("".join(message_texts(message)) for message in request.messages if _is_system(message))
        if system:
            body["system"] = system
        if request.output_schema is not None:
            body["output_config"] = {"format": {"type": "json_schema", "schema": dict(request.output_schema)}}
        if stream:
            body["stream"] = True
        body.update(extra)
        return {name: value for name, value in body.items() if name not in extra or value is not None}

    async def post(self, body: dict[str, Any]) -> httpx2.Response:
        return await self.client.post(
            "/v1/messages",
            cast_to=httpx2.Response,
            body=body,
            options={"timeout": self.http.timeout},
            stream=True,
            stream_cls=anthropic.AsyncStream[Any],
        )  # type: ignore[return-value]

    def result(self, answer: dict[str, Any], request: CompletionRequest) -> CompletionResult:
        if answer.get("type") == "error":
            raise error_from_body(answer)
        blocks = _objects(answer.get("content"), "content")
        text = "".join(_string(block.get("text")) for block in blocks if block.get("type") == "text")
        calls = tuple(
            _tool_call(block, json.dumps(block.get("input") or {}))
            for block in blocks
            if block.get("type") == "tool_use"
        )
        usage = answer.get("usage")
        return _result(request, answer, text, _finish_reason(answer.get("stop_reason")), usage, calls)

    def reader(self, request: CompletionRequest) -> StreamReader:
        return _EventReader(request)


class _EventReader(StreamReader):
    def __init__(self, request: CompletionRequest) -> None:
        super().__init__(request)
        self.head: Mapping[str, Any] = {}
        self.usage: dict[str, Any] = {}
        self.finish: FinishReason | None = None
        self.tool_calls: dict[object, tuple[Mapping[str, Any], list[str]]] = {}

    def read(self, event: dict[str, Any]) -> str:
        match event.get("type"):
            case "error":
                raise error_from_body(event)
            case "message_start":
                self.head = _object(event.get("message"), "message")
                self.usage.update(self.head.get("usage") or {})
            case "content_block_start":
                block = _object(event.get("content_block"), "content block")
                if block.get("type") == "tool_use":
                    self.tool_calls[event.get("index")] = (block, [])
                return _string(block.get("text")) if block.get("type") == "text" else ""
            case "content_block_delta":
                return self._delta(event)
            case "message_delta":
                delta = _object(event.get("delta"), "delta")
                if delta.get("stop_reason"):
                    self.finish = _finish_reason(delta["stop_reason"])
                # Later numbers replace earlier ones: they are totals.
                usage = event.get("usage") or {}
                self.usage.update({name: value for name, value in usage.items() if value is not None})
            case None:
                raise MalformedResponseError("an event has no type")
        return ""

    @property
    def complete(self) -> bool:
        return self.finish is not None

    def result(self) -> CompletionResult:
        calls = tuple(_tool_call(block, "".join(pieces) or "{}") for block, pieces in self.tool_calls.values())
        return _result(
            self.request, self.head, self.text, self.finish or "stop", self.usage, calls, self.first_token_after
        )

    def _delta(self, event: dict[str, Any]) -> str:
        delta = _object(event.get("delta"), "delta")
        if delta.get("type") == "input_json_delta" and event.get("index") in self.tool_calls:
            self.tool_calls[event.get("index")][1].append(_string(delta.get("partial_json")))
        return _string(delta.get("text")) if delta.get("type") == "text_delta" else ""


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
        time_to_first_token=first_token_after,
        tool_calls=tool_calls,
    )


def _usage(request: CompletionRequest, text: str, usage: object) -> Usage:
    if not isinstance(usage, Mapping) or not usage:
        return estimated_usage(request, text)
    cached, written = (usage.get(f"cache_{name}_input_tokens") or 0 for name in ("read", "creation"))
    uncached = usage.get("input_tokens")
    numbers = (uncached, cached, written)
    total = sum(numbers) if all(isinstance(number, int) for number in numbers) else None  # type: ignore[arg-type]
    details = usage.get("output_tokens_details")
    return believed_usage(
        request,
        text,
        input_tokens=total,
        output_tokens=usage.get("output_tokens"),
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=details.get("thinking_tokens") if isinstance(details, Mapping) else 0,
    )


def _is_system(message: JsonObject) -> bool:
    return message.get("role") in ("system", "developer")


def _message(message: JsonObject) -> dict[str, Any]:
    """One message as Anthropic wants it. Raises `EngineError(bad_request)` for what it has no form for."""
    role = message.get("role")
    content = message.get("content")
    if role == "tool":
        result = {"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": _content(content)}
        return {"role": "user", "content": [result]}
    calls = message.get("tool_calls") or ()
    if calls:
        texts = [{"type": "text", "text": text} for text in message_texts({"content": content}) if text]
        return {"role": role, "content": [*texts, *(_tool_use(call) for call in calls)]}
    return {"role": role, "content": _content(content)}


def _content(content: object) -> object:
    if not isinstance(content, list):
        return content
    return [_block(part) for part in content]


def _block(part: Any) -> Any:
    if not isinstance(part, Mapping) or part.get("type") != "image_url":
        return part
    url = str((part.get("image_url") or {}).get("url", ""))
    if not url.startswith("data:"):
        return {"type": "image", "source": {"type": "url", "url": url}}
    head, _, data = url.removeprefix("data:").partition(",")
    media_type, _, encoding = head.partition(";")
    if encoding != "base64":
        raise EngineError(ErrorKind.BAD_REQUEST, "A picture in a data: URL must be in base64.")
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def _tool_use(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except ValueError:
        raise EngineError(ErrorKind.BAD_REQUEST, "The arguments of a tool call in the messages are no JSON.") from None
    return {"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": arguments}


def _tool_call(block: Mapping[str, Any], arguments: str) -> JsonObject:
    """A tool call in the form of chat completions, which is the one form callers see."""
    return {
        "id": block.get("id"),
        "type": "function",
        "function": {"name": block.get("name"), "arguments": arguments},
    }


def _finish_reason(value: object) -> FinishReason:
    return FINISH_REASONS.get(value, "stop") if isinstance(value, str) else "stop"


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise MalformedResponseError(f"its {name} is no object")
    return value


def _objects(value: object, name: str) -> Iterable[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise MalformedResponseError(f"its {name} is no list")
    return [_object(part, name) for part in value]


def _string(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    raise MalformedResponseError(f"a text in it is a {type(value).__name__}")
