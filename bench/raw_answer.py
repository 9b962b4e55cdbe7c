"""The limit: an ASGI function in front of nothing that gives the same bytes to everybody."""

import os
from typing import Any

BODY = b"x" * int(os.environ.get("RAW_ANSWER_BYTES", "1400"))
# As many header bytes as a real answer has.
HEADERS = [
    (b"content-type", b"application/json; charset=utf-8"),
    (b"content-length", str(len(BODY)).encode()),
    (b"x-filling", b"x" * int(os.environ.get("RAW_HEADER_BYTES", "500"))),
]


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
