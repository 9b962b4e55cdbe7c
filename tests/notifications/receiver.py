"""A receiver of webhooks on loopback: keeps every call, and answers as it is told."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """``with Receiver() as receiver``: ``answers`` are statuses of the next calls (then 200), ``delay`` in seconds."""

    answers: list[int] = field(default_factory=list)
    delay: float = 0.0
    text: bytes = b"thanks"
    location: str = ""
    calls: list[Received] = field(default_factory=list)
    most_at_once: int = 0

    def __enter__(self) -> Self:
        receiver, lock, at_once = self, threading.Lock(), [0]

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    receiver.calls.append(Received(self.path, dict(self.headers.items()), body))
                    status = receiver.answers.pop(0) if receiver.answers else 200
                    at_once[0] += 1
                    receiver.most_at_once = max(receiver.most_at_once, at_once[0])
                time.sleep(receiver.delay)
                with lock:
                    at_once[0] -= 1
                try:
                    self.send_response(status)
                    if receiver.location:
                        self.send_header("Location", receiver.location)
                    self.send_header("Content-Length", str(len(receiver.text)))
                    self.end_headers()
                    self.wfile.write(receiver.text)
                except OSError:
                    return  # the caller did not wait, or read enough

            do_GET = do_POST  # noqa: N815

            def log_message(self, *args: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hook"
