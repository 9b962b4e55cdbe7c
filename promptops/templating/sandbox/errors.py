"""The one error of templating, shared by the render process and everything that asks it."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

# Codes that a caller may branch on. Everything else about an error is for people.
SYNTAX = "syntax"
INCLUDE = "include"
UNDEFINED = "undefined"
RENDER = "render"
VARIABLES = "variables"
TEMPLATE_TOO_LARGE = "template_too_large"
INPUT_TOO_LARGE = "input_too_large"
OUTPUT_TOO_LARGE = "output_too_large"
STEP_LIMIT = "step_limit"
TIME_LIMIT = "time_limit"
MEMORY_LIMIT = "memory_limit"
UNAVAILABLE = "unavailable"

# A bomb can also write a long error message (an undefined name of a megabyte).
MAX_MESSAGE_CHARS = 500


class TemplateError(Exception):
    """A template that cannot be parsed or rendered, or that went over a limit.

    `code` is one of the constants of this module. `message_index` counts the messages of the template from 0 (None
    where the error belongs to none); `line` and `column` count from 1, columns in characters (None where unknown).
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        message_index: int | None = None,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        if len(message) > MAX_MESSAGE_CHARS:
            message = message[: MAX_MESSAGE_CHARS - 1] + "…"
        super().__init__(message)
        self.code = code
        self.message = message
        self.message_index = message_index
        self.line = line
        self.column = column

    def __str__(self) -> str:
        place = []
        if self.message_index is not None:
            place.append(f"message {self.message_index + 1}")
        if self.line is not None:
            place.append(f"line {self.line}")
        return f"{self.message} ({', '.join(place)})" if place else self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.code!r}, {str(self)!r})"

    def as_json(self) -> dict[str, Any]:
        """The error as JSON values; the form that crosses the pipe and that an API may show."""
        return {
            "code": self.code,
            "message": self.message,
            "message_index": self.message_index,
            "line": self.line,
            "column": self.column,
        }


def error_from_json(fields: dict[str, Any]) -> TemplateError:
    """The inverse of `TemplateError.as_json`."""
    return TemplateError(
        fields["code"],
        fields["message"],
        message_index=fields.get("message_index"),
        line=fields.get("line"),
        column=fields.get("column"),
    )


def place_of(source: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, of the character at `offset`."""
    line = source.count("\n", 0, offset) + 1
    return line, offset - (source.rfind("\n", 0, offset) + 1) + 1


class Places:
    """Lines and columns of many offsets of one source, and back, without counting from its start each time."""

    def __init__(self, source: str) -> None:
        self._line_starts = [0]
        position = source.find("\n")
        while position != -1:
            self._line_starts.append(position + 1)
            position = source.find("\n", position + 1)

    def of(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def offset(self, line: int, column: int) -> int:
        return self._line_starts[min(line, len(self._line_starts)) - 1] + column - 1
