"""A language model provider on loopback: OpenAI chat completions and Anthropic messages, with failures on demand.

A real HTTP server, for tests (`with Provider() as provider`) and as a process of its own
(`python -m tests.provider --port 0 --latency 0.2` prints its addresses as one JSON line and serves until it is ended).

Replies are deterministic: the last user text, after the system text in brackets if there is one. One word is one token.
What a call should do differently is said by the model's name, after a question mark:

    test-model?fail=rate_limit&retry_after=2&times=1      the first call fails, the next one answers
    test-model?tokens=50&latency=0.1&token_delay=0.02     fifty words, 20 ms apart in a stream

or by `POST /control/script` with {"model": name, "key": key, "times": n, ...} (`Provider.script` in tests): the next
n calls that match behave so. `GET /control/calls` lists every call with its key, model, outcome and tokens, so that a
ledger can be compared; `POST /control/reset` forgets them. A key that starts with "wrong" is refused, as is a missing
one; for one that starts with "moved" the list of models is elsewhere (307).

fail: see `FAILURES` for the refusals; and hang (no answer), drop (closed without an answer), truncate, stall and
stream_error (after `after` tokens, default 2), malformed, not_json, redirect, gzip, no_usage, absurd_usage, filtered,
keep_open.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import ssl
import sys
import threading
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from tests.provider_protocols import AnthropicProtocol, OpenAIProtocol, Protocol, Reply

FAILURES: dict[str, tuple[int, str, str]] = {
    "rate_limit": (429, "rate_limit_exceeded", "Rate limit reached for requests."),
    "quota": (
        429,
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "server_error": (500, "server_error", "The server had an error while processing your request."),
    "bad_gateway": (502, "bad_gateway", "Bad gateway."),
    "unavailable": (503, "engine_overloaded", "The engine is currently overloaded."),
    "overloaded": (529, "overloaded_error", "Overloaded"),
    "auth": (401, "invalid_api_key", "Incorrect API key provided: {key}"),
    "forbidden": (403, "permission_error", "Your key may not use this model."),
    "not_found": (404, "model_not_found", "The model does not exist."),
    "context_length": (400, "context_length_exceeded", "This model's maximum context length is 4096 tokens."),
    "content_filter": (400, "content_filter", "The prompt was filtered by the content management policy."),
    "bad_request": (400, "invalid_value", "Invalid value for 'temperature'."),
}
MODELS = ("test-model", "test-model-large")
REASONS = {200: "OK", 307: "Temporary Redirect", 404: "Not Found"}
PROTOCOLS: dict[str, Protocol] = {"/v1/chat/completions": OpenAIProtocol(), "/v1/messages": AnthropicProtocol()}


@dataclass
class Call:
    """One call as the provider saw it; `outcome`: running, answered, refused, broken, cancelled (by the client)."""

    number: int
    key: str
    model: str
    stream: bool
    body: dict[str, Any] = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    outcome: str = "running"
    status: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    peer: tuple[str, int] = ("", 0)


class Provider:
    """The server, in a thread of its own while the context lasts."""

    def __init__(self, *, port: int = 0, latency: float = 0.0, ssl_context: ssl.SSLContext | None = None) -> None:
        self.port = port
        self.latency = latency
        self.ssl_context = ssl_context
        self.calls: list[Call] = []
        self.scripts: list[dict[str, Any]] = []
        self.failed: Counter[tuple[str, str]] = Counter()
        self.in_flight = 0
        self.max_in_flight = 0
        self.listed: list[str] = []  # the key of every request for the list of models
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.ssl_context else 'http'}://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        return self.url

    def script(self, *, times: int = 1, **behaviour: Any) -> None:
        """The next `times` calls (of `model` and `key`, if given) behave so."""
        self.scripts.append({"times": times, **behaviour})

    def reset(self) -> None:
        self.calls.clear()
        self.scripts.clear()
        self.failed.clear()
        self.listed.clear()
        self.max_in_flight = 0

    def counts(self) -> Counter[tuple[str, str]]:
        """Calls by (key, model name without its directives)."""
        return Counter((call.key, call.model.partition("?")[0]) for call in list(self.calls))

    def summary(self) -> dict[str, Any]:
        calls = [asdict(call) | {"body": None, "headers": None} for call in list(self.calls)]
        return {"calls": calls, "in_flight": self.in_flight, "max_in_flight": self.max_in_flight}

    async def serve(self, ready: threading.Event | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        server = await self._loop.create_server(
            lambda: _Connection(self), "127.0.0.1", self.port, ssl=self.ssl_context, backlog=1024
        )
        self.port = server.sockets[0].getsockname()[1]
        if ready is not None:
            ready.set()
        try:
            await self._end.wait()
        finally:
            server.close()

    def __enter__(self) -> Provider:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self.serve(ready)), name="provider", daemon=True)
        self._thread.start()
        if not ready.wait(10):
            raise RuntimeError("The provider did not start.")
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._end is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(10)

    def behaviour(self, call: Call) -> dict[str, Any]:
        """What the model's name or a script wants of this call."""
        wanted: dict[str, Any] = dict(parse_qsl(call.model.partition("?")[2]))
        for script in list(self.scripts):
            if script.get("model", call.model) != call.model or script.get("key", call.key) != call.key:
                continue
            script["times"] -= 1
            if script["times"] <= 0:
                self.scripts.remove(script)
            return wanted | {name: value for name, value in script.items() if name not in ("model", "key", "times")}
        if "times" in wanted and "fail" in wanted:
            self.failed[call.key, call.model] += 1
            if self.failed[call.key, call.model] > int(wanted["times"]):
                del wanted["fail"]
        return wanted


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive; a client that goes away cancels the call it waited for."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.buffer = b""
        self.task: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, rest = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        request_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        method, path, _ = request_line.split(" ")
        self.task = asyncio.get_running_loop().create_task(self.handle(method, path, headers, rest[:length]))

    async def handle(self, method: str, path: str, headers: dict[str, str], content: bytes) -> None:
        body = json.loads(content) if content else {}
        if path.startswith("/control/"):
            self.control(path, body)
        elif path in PROTOCOLS:
            await self.call(PROTOCOLS[path], headers, body)
        elif method == "GET" and path.partition("?")[0] == "/v1/models":
            self.list_models(headers)
        else:
            self.send_json(404, {"error": {"message": f"Unknown path {path}", "type": "not_found_error"}})

    def control(self, path: str, body: dict[str, Any]) -> None:
        if path == "/control/script":
            self.provider.script(**body)
        elif path == "/control/reset":
            self.provider.reset()
        self.send_json(200, self.provider.summary() if path == "/control/calls" else {"ok": True})

    def list_models(self, headers: dict[str, str]) -> None:
        """Both protocols list models under the same path and in nearly the same shape."""
        key = _key(headers)
        self.provider.listed.append(key)
        if key.startswith("moved"):
            self.send(307, b"", {"Location": f"{self.provider.url}/v1/models"})
            return
        if key.startswith("wrong"):
            status, code, message = FAILURES["auth"]
            error = PROTOCOLS["/v1/chat/completions"].error(status, code, message.format(key=key))
            self.send_json(status, error)
            return
        self.send_json(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]})

    async def call(self, protocol: Protocol, headers: dict[str, str], body: dict[str, Any]) -> None:
        provider = self.provider
        key = _key(headers)
        model = str(body.get("model"))
        call = Call(len(provider.calls) + 1, key, model, bool(body.get("stream")), body, headers)
        call.peer = self.transport.get_extra_info("peername")[:2]
        provider.calls.append(call)
        provider.in_flight += 1
        provider.max_in_flight = max(provider.max_in_flight, provider.in_flight)
        try:
            await self.answer(protocol, call)
        except asyncio.CancelledError:
            call.outcome = "cancelled"
        finally:
            provider.in_flight -= 1

    async def answer(self, protocol: Protocol, call: Call) -> None:
        wanted = self.provider.behaviour(call)
        failure = wanted.get("fail", "")
        await asyncio.sleep(float(wanted.get("latency", self.provider.latency)))
        if not call.key or call.key.startswith("wrong"):
            failure = "auth"
        if failure in FAILURES:
            self.refuse(protocol, call, failure, wanted)
            return
        if failure == "hang":
            await asyncio.Event().wait()
        problem = protocol.problem(call.body, call.headers)
        reply = None if problem else protocol.reply(call.body, wanted)
        if reply is None or reply.input_tokens > int(wanted.get("context", 10**9)):
            call.outcome, call.status = "refused", 400
            code = "invalid_value" if problem else "context_length_exceeded"
            self.send_json(400, protocol.error(400, code, problem or "prompt is too long: more than the maximum"))
            return
        call.status, call.input_tokens, call.output_tokens = 200, reply.input_tokens, len(reply.tokens)
        cut = failure == "truncate" and not call.stream
        if cut or failure in ("drop", "malformed", "not_json", "redirect", "gzip"):
            self.break_off(protocol, call, reply, failure)
        elif call.stream:
            await self.stream(protocol, call, reply, failure, wanted)
        else:
            call.outcome = "answered"
            self.send_json(200, protocol.whole(call.number, call.body, reply))

    def refuse(self, protocol: Protocol, call: Call, failure: str, wanted: dict[str, Any]) -> None:
        status, code, message = FAILURES[failure]
        call.outcome, call.status = "refused", status
        extra = {"Retry-After": str(wanted["retry_after"])} if "retry_after" in wanted else {}
        self.send_json(status, protocol.error(status, code, message.format(key=call.key)), extra)

    def break_off(self, protocol: Protocol, call: Call, reply: Reply, failure: str) -> None:
        call.outcome = "broken"
        content = json.dumps(protocol.whole(call.number, call.body, reply)).encode()
        if failure == "truncate":
            self.write_head(200, {"Content-Length": str(len(content))})
            self.transport.write(content[: len(content) // 2])
        elif failure == "malformed":
            self.send(200, b'{"choices": "none", "content": 7, "type": 3}' if not call.stream else b"data: [1]\n\n")
        elif failure == "not_json":
            self.send(200, b"<html>It works!</html>" if not call.stream else b"data: {broken\n\n")
        elif failure == "redirect":
            self.send(307, b"", {"Location": "/v1/elsewhere"})
        elif failure == "gzip":
            self.send(200, gzip.compress(content), {"Content-Encoding": "gzip"})
        if failure in ("drop", "truncate"):
            self.transport.close()

    async def stream(self, protocol: Protocol, call: Call, reply: Reply, failure: str, wanted: dict[str, Any]) -> None:
        self.write_head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
        pause = float(wanted.get("token_delay", 0.0))
        fails_after = int(wanted.get("after", 2)) if failure in ("truncate", "stall", "stream_error") else None
        for event in protocol.opening(call.number, call.body, reply):
            self.write_chunk(event)
        for index, token in enumerate(reply.tokens):
            if index == fails_after:
                break
            if pause:
                await asyncio.sleep(pause)
            self.write_chunk(protocol.delta(call.number, call.body, token))
        if fails_after is not None:
            call.outcome = "broken"
            if failure == "stall":
                await asyncio.Event().wait()
            if failure == "stream_error":
                self.write_chunk(protocol.stream_error())
                self.transport.write(b"0\r\n\r\n")
            self.transport.close()
            return
        for event in protocol.closing(call.number, call.body, reply):
            self.write_chunk(event)
        call.outcome = "answered"
        if failure != "keep_open":
            self.transport.write(b"0\r\n\r\n")

    def send_json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self.send(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.write_head(status, {"Content-Length": str(len(content)), **(headers or {})})
        self.transport.write(content)

    def write_head(self, status: int, headers: dict[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}", *(f"{name}: {headers[name]}" for name in headers)]
        self.transport.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def write_chunk(self, content: bytes) -> None:
        self.transport.write(b"%x\r\n%s\r\n" % (len(content), content))


def _key(headers: dict[str, str]) -> str:
    return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ").strip()


async def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before every answer")
    arguments = parser.parse_args()
    provider = Provider(port=arguments.port, latency=arguments.latency)
    serving = asyncio.create_task(provider.serve())
    while not provider.port:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    addresses = {"openai_url": provider.openai_url, "anthropic_url": provider.anthropic_url, "port": provider.port}
    sys.stdout.write(json.dumps(addresses) + "\n")
    sys.stdout.flush()
    await serving


if __name__ == "__main__":
    asyncio.run(_main())
