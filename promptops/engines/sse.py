"""Server-sent events as providers stream them (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import codecs
from collections.abc import Iterator


class EventDecoder:
    """Bytes in, in any cut; the `data` of whole events out.

    The event's name is not kept: both protocols repeat it inside the data.
    """

    def __init__(self) -> None:
        self._text = codecs.getincrementaldecoder("utf-8")()
        self._rest = ""
        self._lines: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Events completed by this chunk. Raises `UnicodeDecodeError` for bytes that are not UTF-8."""
        pending = self._rest + self._text.decode(chunk)
        # A final CR may be the first half of a CR LF.
        held = "\r" if pending.endswith("\r") else ""
        normalised = pending[: len(pending) - len(held)].replace("\r\n", "\n").replace("\r", "\n")
        *lines, rest = normalised.split("\n")
        self._rest = rest + held
        for line in lines:
            if line:
                self._take(line)
            elif self._lines:
                yield "\n".join(self._lines)
                self._lines = []

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        if name == "data":
            self._lines.append(value.removeprefix(" "))
