"""Measures JSON values before anybody serialises them."""

from __future__ import annotations

import json
import math
from typing import Any

from .sandbox.limits import MAX_DEPTH

_SLICE = 64 * 1024
# Beyond these, whole numbers change on their way through JSON readers.
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**64 - 1


class _RefusedError(Exception):
    pass


class JsonBudget:
    """Refuses what is not JSON, or is too large, before anything is copied or serialised.

    One budget is for several values together; `limit` is in bytes of JSON.
    """

    def __init__(self, limit: int) -> None:
        self.limit = self.left = limit

    def problem(self, value: Any) -> str | None:
        """What is wrong with a value, as the rest of a sentence; None when it fits."""
        try:
            self._take(value, 0)
        except _RefusedError as refused:
            return str(refused)
        return None

    def _take(self, value: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise _RefusedError(f"is nested deeper than {MAX_DEPTH}")
        if isinstance(value, str):
            self._take_text(value)
        elif value is None or isinstance(value, bool):
            self._spend(5)
        elif isinstance(value, int):
            if not _MIN_INTEGER <= value <= _MAX_INTEGER:
                raise _RefusedError("is a whole number of more than 64 bits")
            self._spend(20)
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise _RefusedError("is not a number that JSON knows")
            self._spend(24)
        elif isinstance(value, list):
            self._spend(2 + 2 * len(value))
            for item in value:
                self._take(item, depth + 1)
        elif isinstance(value, dict):
            self._spend(2 + 4 * len(value))
            for key, item in value.items():
                if not isinstance(key, str):
                    raise _RefusedError("has a key that is not text")
                self._take_text(key)
                self._take(item, depth + 1)
        else:
            raise _RefusedError("is not a JSON value")

    def _take_text(self, text: str) -> None:
        # UTF-8 has at least a byte a character: a text of 100 MB ends here, without being copied.
        if len(text) > self.left:
            self._spend(len(text))
        for start in range(0, len(text), _SLICE):
            try:
                self._spend(len(json.dumps(text[start : start + _SLICE], ensure_ascii=False).encode()))
            except UnicodeEncodeError:
                raise _RefusedError("holds half of a surrogate pair, which is not text") from None

    def _spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            self.left = 0
            raise _RefusedError(f"makes it larger than {self.limit} bytes in all")
