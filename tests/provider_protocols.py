"""How the loopback provider speaks: OpenAI's chat completions and Anthropic's messages, written from their
documentation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

ABSURD = 10**15
WORD = re.compile(r"\S+\s*|\s+")


@dataclass
class Reply:
    """What the model says to a request, and what it costs."""

    tokens: list[str]
    finish: str
    """stop, stop_sequence, length, filtered."""
    input_tokens: int
    usage: str
    """"" for a true one, no_usage or absurd_usage."""
    cached: int
    reasoning: int

    @property
    def text(self) -> str:
        return "".join(self.tokens)


def sse(value: object, event: str = "") -> bytes:
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {value if isinstance(value, str) else json.dumps(value)}\n\n".encode()


def text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text", "[picture]")) for part in parts if isinstance(part, dict))


def example_of(schema: dict[str, Any]) -> Any:
    """The smallest value that fits a schema."""
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        return {name: example_of(part) for name, part in schema.get("properties", {}).items()}
    return {"array": [], "string": "text", "number": 0.5, "integer": 1, "boolean": True}.get(str(schema.get("type")))


class Protocol:
    """What both protocols share: the reply itself."""

    def problem(self, body: dict[str, Any], headers: dict[str, str]) -> str:
        raise NotImplementedError

    def system(self, body: dict[str, Any]) -> str:
        raise NotImplementedError

    def limit(self, body: dict[str, Any]) -> int | None:
        raise NotImplementedError

    def stops(self, body: dict[str, Any]) -> list[str]:
        raise NotImplementedError

    def schema(self, body: dict[str, Any]) -> dict[str, Any] | None:
        raise NotImplementedError

    def reply(self, body: dict[str, Any], wanted: dict[str, Any]) -> Reply:
        system = self.system(body)
        user = next((text_of(m["content"]) for m in reversed(body["messages"]) if m["role"] == "user"), "")
        text = wanted.get("text", f"[{system}] {user}" if system else user)
        if "tokens" in wanted:
            text = " ".join(f"word{number}" for number in range(int(wanted["tokens"])))
        schema = self.schema(body)
        if schema is not None:
            text = json.dumps(example_of(schema))
        finish = "filtered" if wanted.get("fail") == "filtered" else "stop"
        cuts = [text.index(stop) for stop in self.stops(body) if stop in text]
        if cuts:
            text, finish = text[: min(cuts)], "stop_sequence"
        tokens = WORD.findall(text)
        limit = self.limit(body)
        if limit is not None and len(tokens) > limit:
            tokens, finish = tokens[:limit], "length"
        prompt = " ".join([system, *(text_of(m.get("content")) for m in body["messages"])])
        usage = wanted["fail"] if wanted.get("fail") in ("no_usage", "absurd_usage") else ""
        return Reply(
            tokens,
            finish,
            len(WORD.findall(prompt)) + 4,
            usage,
            int(wanted.get("cached", 0)),
            int(wanted.get("reasoning", 0)),
        )

    def error(self, status: int, code: str, message: str) -> dict[str, Any]:
        raise NotImplementedError

    def whole(self, number: int, body: dict[str, Any], reply: Reply) -> dict[str, Any]:
        raise NotImplementedError

    def opening(self, number: int, body: dict[str, Any], reply: Reply) -> Iterator[bytes]:
        raise NotImplementedError

    def delta(self, number: int, body: dict[str, Any], token: str) -> bytes:
        raise NotImplementedError

    def closing(self, number: int, body: dict[str, Any], reply: Reply) -> Iterator[bytes]:
        raise NotImplementedError

    def stream_error(self) -> bytes:
        raise NotImplementedError


class OpenAIProtocol(Protocol):
    FINISH: ClassVar = {"stop_sequence": "stop", "filtered": "content_filter"}

    def problem(self, body: dict[str, Any], headers: dict[str, str]) -> str:
        if not body.get("messages"):
            return "Invalid 'messages': empty array."
        roles = {"system", "user", "assistant", "tool", "developer"}
        if any(message.get("role") not in roles for message in body["messages"]):
            return "Invalid value: 'role' is unknown."
        limit = self.limit(body)
        return "Invalid 'max_tokens': below the minimum." if limit is not None and limit < 1 else ""

    def system(self, body: dict[str, Any]) -> str:
        roles = ("system", "developer")
        return "\n".join(text_of(message["content"]) for message in body["messages"] if message["role"] in roles)

    def limit(self, body: dict[str, Any]) -> int | None:
        return body.get("max_completion_tokens", body.get("max_tokens"))

    def stops(self, body: dict[str, Any]) -> list[str]:
        stop = body.get("stop") or []
        return [stop] if isinstance(stop, str) else stop

    def schema(self, body: dict[str, Any]) -> dict[str, Any] | None:
        wanted = body.get("response_format") or {}
        schema: dict[str, Any] | None = wanted.get("json_schema", {}).get("schema")
        return schema

    def error(self, status: int, code: str, message: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}

    def usage(self, reply: Reply) -> dict[str, Any]:
        output = ABSURD if reply.usage == "absurd_usage" else len(reply.tokens) + reply.reasoning
        return {
            "prompt_tokens": reply.input_tokens,
            "completion_tokens": output,
            "total_tokens": reply.input_tokens + output,
            "prompt_tokens_details": {"cached_tokens": reply.cached},
            "completion_tokens_details": {"reasoning_tokens": reply.reasoning},
        }

    def finish(self, reply: Reply) -> str:
        return self.FINISH.get(reply.finish, reply.finish)

    def head(self, number: int, body: dict[str, Any], kind: str) -> dict[str, Any]:
        model = f"{body['model'].partition('?')[0]}-2026"
        return {"id": f"chatcmpl-{number}", "object": kind, "created": 0, "model": model, "system_fingerprint": "fp_1"}

    def whole(self, number: int, body: dict[str, Any], reply: Reply) -> dict[str, Any]:
        message = {"role": "assistant", "content": reply.text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish(reply)}
        answer = self.head(number, body, "chat.completion") | {"choices": [choice]}
        return answer if reply.usage == "no_usage" else answer | {"usage": self.usage(reply)}

    def chunk(self, number: int, body: dict[str, Any], delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return sse(self.head(number, body, "chat.completion.chunk") | {"choices": [choice], "usage": None})

    def opening(self, number: int, body: dict[str, Any], reply: Reply) -> Iterator[bytes]:
        yield self.chunk(number, body, {"role": "assistant", "content": "", "refusal": None})

    def delta(self, number: int, body: dict[str, Any], token: str) -> bytes:
        return self.chunk(number, body, {"content": token})

    def closing(self, number: int, body: dict[str, Any], reply: Reply) -> Iterator[bytes]:
        yield self.chunk(number, body, {}, self.finish(reply))
        if (body.get("stream_options") or {}).get("include_usage") and reply.usage != "no_usage":
            yield sse(self.head(number, body, "chat.completion.chunk") | {"choices": [], "usage": self.usage(reply)})
        yield sse("[DONE]")

    def stream_error(self) -> bytes:
        return sse({"error": {"message": "The server had an error.", "type": "server_error", "code": None}})


class AnthropicProtocol(Protocol):
    FINISH: ClassVar = {"stop": "end_turn", "length": "max_tokens", "filtered": "refusal"}
    FIELDS: ClassVar = {
        *("model", "messages", "max_tokens", "system", "temperature", "top_p", "top_k", "stop_sequences", "stream"),
        *("output_config", "metadata", "tools", "tool_choice", "thinking", "service_tier"),
    }
    TYPES: ClassVar = {
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        429: "rate_limit_error",
        500: "api_error",
        529: "overloaded_error",
    }

    def problem(self, body: dict[str, Any], headers: dict[str, str]) -> str:
        if "anthropic-version" not in headers:
            return "anthropic-version: header is required"
        if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
            return "max_tokens: Field required"
        if not body.get("messages"):
            return "messages: at least one message is required"
        if any(message.get("role") not in ("user", "assistant") for message in body["messages"]):
            return "messages: Unexpected role"
        unknown = sorted(set(body) - self.FIELDS)
        return f"{unknown[0]}: Extra inputs are not permitted" if unknown else ""

    def system(self, body: dict[str, Any]) -> str:
        return text_of(body.get("system"))

    def limit(self, body: dict[str, Any]) -> int | None:
        return int(body["max_tokens"])

    def stops(self, body: dict[str, Any]) -> list[str]:
        stops: list[str] = body.get("stop_sequences") or []
        return stops

    def schema(self, body: dict[str, Any]) -> dict[str, Any] | None:
        schema: dict[str, Any] | None = (body.get("output_config") or {}).get("format", {}).get("schema")
        return schema

    def error(self, status: int, code: str, message: str) -> dict[str, Any]:
        kind = self.TYPES.get(status, "invalid_request_error")
        return {"type": "error", "error": {"type": kind, "message": f"{code}: {message}"}, "request_id": "req_1"}

    def usage(self, reply: Reply, output: int) -> dict[str, Any]:
        return {
            "input_tokens": reply.input_tokens,
            "cache_read_input_tokens": reply.cached,
            "cache_creation_input_tokens": 0,
            "output_tokens": -1 if reply.usage == "absurd_usage" else output,
        }

    def message(self, number: int, body: dict[str, Any], **rest: Any) -> dict[str, Any]:
        model = f"{body['model'].partition('?')[0]}-2026"
        return {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": model, **rest}

    def finish(self, reply: Reply) -> str:
        return self.FINISH.get(reply.finish, reply.finish)

    def whole(self, number: int, body: dict[str, Any], reply: Reply) -> dict[str, Any]:
        content = [{"type": "text", "text": reply.text}]
        answer = self.message(number, body, content=content, stop_reason=self.finish(reply), stop_sequence=None)
        return answer if reply.usage == "no_usage" else answer | {"usage": self.usage(reply, len(reply.tokens))}

    def opening(self, number: int, body: dict[str, Any], reply: Reply) -> Iterator[bytes]:
        usage = {} if reply.usage == "no_usage" else {"usage": self.usage(reply, 1)}
        message = self.message(number, body, content=[], stop_reason=None, stop_sequence=None, **usage)
        yield sse({"type": "message_start", "message": message}, "message_start")
        block = {"type": "text", "text": ""}
        yield sse({"type": "content_block_start", "index": 0, "content_block": block}, "content_block_start")
        yield sse({"type": "ping"}, "ping")

    def delta(self, number: int, body: dict[str, Any], token: str) -> bytes:
        delta = {"type": "text_delta", "text": token}
        return sse({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")

    def closing(self, number: int, body: dict[str, Any], reply: Reply) -> Iterator[bytes]:
        yield sse({"type": "content_block_stop", "index": 0}, "content_block_stop")
        event: dict[str, Any] = {"type": "message_delta", "delta": {"stop_reason": self.finish(reply)}}
        if reply.usage != "no_usage":
            event["usage"] = {"output_tokens": self.usage(reply, len(reply.tokens))["output_tokens"]}
        yield sse(event, "message_delta")
        yield sse({"type": "message_stop"}, "message_stop")

    def stream_error(self) -> bytes:
        return sse({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "error")
