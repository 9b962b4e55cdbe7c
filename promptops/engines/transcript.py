"""From generated tokens to text as it may be shown: whole characters only, and never a part of a stop string."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream


class Transcript:
    """The text of one answer. `stopped` once a stop string has appeared; it and what follows are not part of the
    text."""

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str]) -> None:
        self.stopped = False
        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._stops = list(stops)
        self._held = ""

    def add(self, token: int) -> str:
        """The text that can be shown after this token: perhaps none, while a character or a stop string may be half
        done."""
        piece = self._stream.step(self._tokenizer, token)
        if not piece:
            return ""
        self._held += piece
        cuts = [cut for stop in self._stops if (cut := self._held.find(stop)) >= 0]
        if cuts:
            self.stopped = True
            return self._release(min(cuts), forget=True)
        return self._release(len(self._held) - self._half_stop())

    def rest(self) -> str:
        """What was held back, when nothing more comes; empty after a stop string."""
        return self._release(len(self._held))

    def _half_stop(self) -> int:
        """The longest end of the text that could be the beginning of a stop string."""
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        for length in range(min(longest, len(self._held)), 0, -1):
            end = self._held[-length:]
            if any(stop.startswith(end) for stop in self._stops):
                return length
        return 0

    def _release(self, length: int, *, forget: bool = False) -> str:
        text, self._held = self._held[:length], "" if forget else self._held[length:]
        return text
