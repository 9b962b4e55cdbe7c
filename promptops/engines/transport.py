"""An HTTP client that may only reach addresses its owner allowed.

The host is resolved here, every address is checked, and the socket is opened to the address that was checked: a name
that resolves differently a moment later (DNS rebinding) changes nothing. TLS and the Host header keep the host's
name. Redirects are off, and proxies and certificates of the environment are ignored.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from functools import lru_cache
from typing import Any

import httpcore2
import httpx2

from promptops.engines.types import AddressCheck, EngineError, ErrorKind

MAX_RESPONSE_BYTES = 32 * 1024 * 1024
"""A whole answer of any model fits many times; what is longer is an attack or a defect, and must not fill the
memory."""

POOL_SIZE = 16
IDLE_SECONDS = 30.0


def guarded_client(
    check_address: AddressCheck | None, connect_timeout: float, ssl_context: ssl.SSLContext | None = None
) -> httpx2.AsyncClient:
    """A client for one engine. Callers bound the length of a call themselves; only connecting is bounded here."""
    return httpx2.AsyncClient(
        transport=GuardedTransport(check_address, ssl_context or default_ssl_context()),
        timeout=httpx2.Timeout(None, connect=connect_timeout),
        follow_redirects=False,
        trust_env=False,
    )


@lru_cache(maxsize=1)
def default_ssl_context() -> ssl.SSLContext:
    """One context a process: loading the certificates takes tens of milliseconds."""
    return httpx2.create_ssl_context(trust_env=False)


class GuardedTransport(httpx2.AsyncBaseTransport):
    """httpx2's transport with a checking network backend, a limit on the size of answers, and small pools.

    httpcore2 looks at every connection of a pool whenever a request begins or ends, which at 128 connections is the
    largest part of a call's CPU time. So requests go to the first pool with room, and pools are added as needed.
    """

    def __init__(self, check_address: AddressCheck | None, ssl_context: ssl.SSLContext) -> None:
        self._check_address = check_address
        self._ssl_context = ssl_context
        self._pools: list[_Pool] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        # A compressed answer could unfold to any size, so none is asked for and none is taken.
        request.headers["Accept-Encoding"] = "identity"
        pool = self._pool_with_room()
        pool.in_flight += 1
        try:
            response = await pool.handle_async_request(request)
        except BaseException:
            pool.in_flight -= 1
            raise
        response.stream = _LimitedStream(response.stream, pool)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            raise EngineError(
                ErrorKind.MALFORMED_RESPONSE,
                "The server sent a compressed answer that was not asked for.",
                billed="maybe",
            )
        return response

    async def aclose(self) -> None:
        for pool in self._pools:
            await pool.aclose()

    def _pool_with_room(self) -> _Pool:
        for pool in self._pools:
            if pool.in_flight < POOL_SIZE:
                return pool
        self._pools.append(_Pool(self._check_address, self._ssl_context))
        return self._pools[-1]


class _Pool(httpx2.AsyncHTTPTransport):
    """A few connections, and how many requests use them."""

    def __init__(self, check_address: AddressCheck | None, ssl_context: ssl.SSLContext) -> None:
        super().__init__(verify=ssl_context, trust_env=False)
        self.in_flight = 0
        # httpx2 has no argument for the network backend, so its (still unused) pool is replaced by one that has it.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl_context,
            max_connections=None,
            max_keepalive_connections=POOL_SIZE,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=GuardedBackend(check_address),
        )


class _LimitedStream(httpx2.AsyncByteStream):
    """Passes a body on until it grows past `MAX_RESPONSE_BYTES`; gives its place in the pool back when closed."""

    def __init__(self, stream: Any, pool: _Pool) -> None:
        self._stream = stream
        self._pool: _Pool | None = pool

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for chunk in self._stream:
            received += len(chunk)
            if received > MAX_RESPONSE_BYTES:
                raise EngineError(
                    ErrorKind.MALFORMED_RESPONSE,
                    f"The server's answer is longer than {MAX_RESPONSE_BYTES // 1024**2} MB.",
                    billed="maybe",
                )
            yield chunk

    async def aclose(self) -> None:
        if self._pool is not None:
            self._pool.in_flight -= 1
            self._pool = None
        await self._stream.aclose()


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Resolves, checks every address, and connects to a checked one."""

    def __init__(self, check_address: AddressCheck | None) -> None:
        self._check_address = check_address
        self._backend = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        addresses = await self._resolve(host, port, timeout)
        self._check(host, addresses, port)
        failure: Exception = httpcore2.ConnectError(f"{host} has no address")
        for index, address in enumerate(addresses):
            # The time left is shared, so that a dead first address leaves some for the others.
            share = None if deadline is None else max(0.001, deadline - loop.time()) / (len(addresses) - index)
            try:
                return await self._backend.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _resolve(self, host: str, port: int, timeout: float | None) -> list[str]:
        try:
            async with asyncio.timeout(timeout):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise httpcore2.ConnectTimeout(f"Looking up {host} took too long") from None
        except OSError as error:
            raise httpcore2.ConnectError(f"{host} could not be resolved: {error}") from None
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def _check(self, host: str, addresses: list[str], port: int) -> None:
        """Refuse the host when any of its addresses is refused: a mixed answer is a trick or a mistake."""
        if self._check_address is None:
            return
        for address in addresses:
            try:
                self._check_address(host, address, port)
            except EngineError:
                raise
            except Exception as refusal:
                message = f"The address of {host} may not be reached: {refusal}"
                raise EngineError(ErrorKind.REFUSED_ADDRESS, message) from None
