"""One call of a webhook: a POST through the guarded client, bounded in time and in what is read of the answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

import httpx2

from promptops.core import egress
from promptops.engines import EngineError
from promptops.engines.transport import guarded_client

SECONDS = 10.0
READ_BYTES = 4096
EXCERPT_CHARACTERS = 1000
MAX_ERROR = 500

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    url: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """``status`` is None where nobody answered; then ``error`` says why. ``excerpt`` is the beginning of the body."""

    status: int | None
    duration_ms: int
    excerpt: str = ""
    error: str = ""

    @property
    def taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


async def call(client: httpx2.AsyncClient, given: Call) -> Answer:
    """Send it. Never raises for what the other end does, or where it is."""
    started = time.monotonic()
    status, excerpt, error = None, "", ""
    try:
        async with asyncio.timeout(SECONDS):
            status, excerpt = await _post(client, given)
    except TimeoutError:
        error = f"No answer within {SECONDS:.0f} s."
    except EngineError as refusal:
        error = refusal.message
    except httpx2.HTTPError as failure:
        error = f"The connection failed: {failure}" if str(failure) else f"The connection failed ({_name(failure)})."
    except (httpx2.InvalidURL, UnicodeError) as failure:
        error = f"The URL cannot be called: {failure}"
    except Exception as failure:
        logger.exception("A webhook could not be called")
        error = f"The call failed ({_name(failure)})."
    if status is not None:
        error = _refusal(status)
    return Answer(status, round((time.monotonic() - started) * 1000), excerpt, error[:MAX_ERROR])


async def call_all(calls: list[Call]) -> list[Answer]:
    """Send them side by side; the answers in the same order."""
    client = guarded_client(egress.check_address, SECONDS)
    try:
        return list(await asyncio.gather(*(call(client, one) for one in calls)))
    finally:
        await client.aclose()


async def _post(client: httpx2.AsyncClient, given: Call) -> tuple[int, str]:
    async with client.stream("POST", given.url, content=given.body, headers=dict(given.headers)) as response:
        read = b""
        async for chunk in response.aiter_raw():
            read += chunk
            if len(read) >= READ_BYTES:
                break  # closing the response ends the connection; the rest is never read
        text = read[:READ_BYTES].decode("utf-8", errors="replace").replace("\x00", "")
        return response.status_code, text[:EXCERPT_CHARACTERS]


def _refusal(status: int) -> str:
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return f"It answered {status}, a redirect; redirects are not followed. Enter the address that it leads to."
    return f"It answered {status}."


def _name(failure: Exception) -> str:
    return type(failure).__name__
