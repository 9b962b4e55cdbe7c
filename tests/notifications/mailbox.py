"""A mail server on loopback that speaks just enough SMTP: keeps what it takes, refuses as it is told."""

from __future__ import annotations

import email
import email.policy
import socketserver
import threading
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any, Self


@dataclass(frozen=True)
class Letter:
    sender: str
    recipient: str
    message: EmailMessage

    def text(self, kind: str = "plain") -> str:
        part = self.message.get_body((kind,))
        assert part is not None
        return str(part.get_content())


@dataclass
class Mailbox:
    """``with Mailbox() as mailbox``. ``recipient_answers`` and ``data_answers``: what the next ones are told."""

    letters: list[Letter] = field(default_factory=list)
    recipient_answers: list[str] = field(default_factory=list)
    data_answers: list[str] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> Self:
        box = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                box.connections += 1
                self._say("220 mailbox")
                sender = recipient = ""
                while line := self.rfile.readline():
                    verb, _space, rest = line.decode().strip().partition(" ")
                    match verb.upper():
                        case "EHLO" | "HELO" | "RSET" | "NOOP":
                            self._say("250 ok")
                        case "MAIL":
                            sender = rest.partition("<")[2].partition(">")[0]
                            self._say("250 ok")
                        case "RCPT":
                            recipient = rest.partition("<")[2].partition(">")[0]
                            self._say(box.recipient_answers.pop(0) if box.recipient_answers else "250 ok")
                        case "DATA":
                            self._say("354 go on")
                            body = self._body()
                            answer = box.data_answers.pop(0) if box.data_answers else "250 taken"
                            if answer.startswith("250"):
                                parsed: Any = email.message_from_bytes(body, policy=email.policy.default)
                                box.letters.append(Letter(sender, recipient, parsed))
                            self._say(answer)
                        case "QUIT":
                            self._say("221 bye")
                            return
                        case _:
                            self._say("502 what?")

            def _body(self) -> bytes:
                lines = []
                while (line := self.rfile.readline()) != b".\r\n":
                    lines.append(line[1:] if line.startswith(b"..") else line)
                return b"".join(lines)

            def _say(self, text: str) -> None:
                self.wfile.write(f"{text}\r\n".encode())

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])
