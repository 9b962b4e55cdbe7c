"""What the HTTP adapters share: one call's life, from the guarded client to the result or the `EngineError`.

An adapter says how a request's body looks and how to read an answer. Answers are read as plain JSON rather than through
the SDK's classes: these neither check what a server sent nor come cheap for every streamed token.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, cast

import httpx2

from promptops.engines.failures import MalformedResponseError, engine_error
from promptops.engines.sse import EventDecoder
from promptops.engines.transport import guarded_client
from promptops.engines.types import (
    CompletionRequest,
    CompletionResult,
    Connection,
    EngineError,
    ErrorKind,
    StreamItem,
    TextDelta,
)

DONE = "[DONE]"
LAST_EVENT = "message_stop"
"""How the two protocols end a stream; servers may keep the connection open after that."""

DRAIN_SECONDS = 0.5


class StreamReader(ABC):
    """Gathers the events of one streamed answer."""

    def __init__(self, request: CompletionRequest) -> None:
        self.request = request
        self.pieces: list[str] = []
        self.first_token_after: float | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @abstractmethod
    def read(self, event: dict[str, Any]) -> str:
        """Take one event in; the new text in it, if any. Raises `MalformedResponseError`, `EngineError`."""

    @property
    @abstractmethod
    def complete(self) -> bool:
        """Whether the provider said how the answer ends."""

    @abstractmethod
    def result(self) -> CompletionResult:
        """The whole answer."""


class HttpEngine(ABC):
    """An engine on top of an official SDK's client."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.http = guarded_client(connection.check_address, connection.connect_timeout)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.connection.base_url or 'default address'}>"

    @abstractmethod
    def body(self, request: CompletionRequest, *, stream: bool) -> dict[str, Any]:
        """The JSON of the request. Raises `EngineError(bad_request)` for what the provider cannot express."""

    @abstractmethod
    async def post(self, body: dict[str, Any]) -> httpx2.Response:
        """Send the request through the SDK; the response with its body still unread."""

    @abstractmethod
    def result(self, answer: dict[str, Any], request: CompletionRequest) -> CompletionResult:
        """Read an answer that was not streamed."""

    @abstractmethod
    def reader(self, request: CompletionRequest) -> StreamReader:
        """A reader for one streamed answer."""

    async def complete(self, request: CompletionRequest) -> CompletionResult:
        body = self.body(request, stream=False)
        response: httpx2.Response | None = None
        failure: EngineError
        try:
            async with asyncio.timeout(request.timeout):
                response = await self.post(body)
                content = await response.aread()
            return self.result(json_object(content), request)
        except Exception as exception:
            failure = self._failure(exception, answering=response is not None)
        finally:
            if response is not None:
                await response.aclose()
        # Raised here, outside the handler, so that no context with the request's headers hangs on it.
        raise failure

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamItem, None]:
        reader = self.reader(request)
        failure: EngineError
        try:
            async with aclosing(self._stream(request, reader)) as items:
                async for item in items:
                    yield item
            return
        except Exception as exception:
            failure = self._failure(exception, answering=False, partial_text=reader.text)
        raise failure

    async def aclose(self) -> None:
        await self.http.aclose()

    async def _stream(self, request: CompletionRequest, reader: StreamReader) -> AsyncGenerator[StreamItem, None]:
        body = self.body(request, stream=True)
        clock = asyncio.get_running_loop().time
        started = clock()
        deadline = started + request.timeout
        async with asyncio.timeout_at(deadline):
            response = await self.post(body)
        try:
            try:
                async with aclosing(_events(response, deadline)) as events:
                    async for event in events:
                        piece = reader.read(event)
                        if piece:
                            if reader.first_token_after is None:
                                reader.first_token_after = clock() - started
                            reader.pieces.append(piece)
                            yield TextDelta(piece)
            except httpx2.TransportError as error:
                # Once the end was told, nothing of the text is missing; only the usage may be.
                if not reader.complete:
                    raise _truncated(str(error)) from None
            if not reader.complete:
                raise _truncated("it ended without saying why")
            yield reader.result()
        finally:
            await response.aclose()

    def _failure(self, exception: Exception, *, answering: bool, partial_text: str = "") -> EngineError:
        failure = engine_error(
            exception, answering=answering, partial_text=partial_text, secret=self.connection.api_key
        )
        if failure is None:
            raise exception
        return failure


def json_object(content: bytes | str) -> dict[str, Any]:
    """The JSON object in a body. Raises `MalformedResponseError`."""
    try:
        value = json.loads(content)
    except ValueError:
        shown = content[:60].decode("utf-8", "replace") if isinstance(content, bytes) else content[:60]
        raise MalformedResponseError(f"it is no JSON: {shown!r}") from None
    if not isinstance(value, dict):
        raise MalformedResponseError("it is no JSON object")
    return cast(dict[str, Any], value)


async def _events(response: httpx2.Response, deadline: float) -> AsyncGenerator[dict[str, Any], None]:
    decoder = EventDecoder()
    chunks: AsyncIterator[bytes] = response.aiter_raw()
    while (chunk := await _read(chunks, deadline)) is not None:
        for data in decoder.feed(chunk):
            if data == DONE:
                await _drain(chunks)
                return
            event = json_object(data)
            yield event
            if event.get("type") == LAST_EVENT:
                await _drain(chunks)
                return


async def _read(chunks: AsyncIterator[bytes], deadline: float) -> bytes | None:
    """The next piece of the body. The timeout is around the read alone: it must never fire while the consumer works."""
    async with asyncio.timeout_at(deadline):
        return await anext(chunks, None)


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read on to the body's end, so that the connection can be used again; not for long, the answer is there."""
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in chunks:
                pass
    except (TimeoutError, httpx2.TransportError):
        return


def _truncated(reason: str) -> EngineError:
    return EngineError(
        ErrorKind.TRUNCATED_STREAM, f"The connection ended in the middle of the answer: {reason}", billed="maybe"
    )
