"""The difference of two contents line by line, each line with its numbers on both sides: what remarks hang on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from promptops.prompts.diff_view import LINE_END, Comparison, Row, ShownDiff
from promptops.templating import Span

LINES_AT_ONCE = 300

Place = tuple[int, str, int | None]
"""A message (from 0) of a side (``old`` or ``new``) and a line of it (from 1; None: the message as a whole)."""


@dataclass(slots=True)
class Line:
    """A line of the page: a line of each side, or of one of them. Numbers count from 1; texts are HTML."""

    old_number: int | None
    new_number: int | None
    old: SafeString | None
    new: SafeString | None
    is_changed: bool
    is_first: bool = False  # of a change: where the keys j and k stop
    threads: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class Stretch:
    """Lines in a row; a folded one holds nothing that changed and nothing that was said."""

    lines: list[Line]
    is_folded: bool


@dataclass(slots=True)
class ReviewedMessage:
    """A message of the comparison. ``is_left_out``: its lines are fetched on demand."""

    shown: ShownDiff
    place: int
    stretches: list[Stretch]
    threads: list[Any]
    is_open: bool
    is_left_out: bool
    resolved: int = 0

    @property
    def index_new(self) -> int | None:
        return self.shown.diff.new_index

    @property
    def index_old(self) -> int | None:
        return self.shown.diff.old_index


def reviewed_messages(
    comparison: Comparison, said: Mapping[Place, Sequence[Any]], *, inline: bool
) -> list[ReviewedMessage]:
    """Return the messages for the page, with what was said beside their lines.

    Beyond ``LINES_AT_ONCE`` lines, messages of which nothing was said are left out, and fetched as one comes to them.

    Args:
        said: threads by place.
        inline: one column, lines that went above lines that came; else both sides beside each other.
    """
    found, lines = [], 0
    for place, shown in enumerate(comparison.messages):
        message = _message(place, shown, said, inline, whole=False, is_late=lines > LINES_AT_ONCE)
        lines += sum(len(stretch.lines) for stretch in message.stretches)
        found.append(message)
    return found


def reviewed_message(comparison: Comparison, place: int, *, inline: bool) -> ReviewedMessage:
    """Return one message with all of its lines."""
    return _message(place, comparison.messages[place], {}, inline, whole=True, is_late=False)


def _message(
    place: int, shown: ShownDiff, said: Mapping[Place, Sequence[Any]], inline: bool, *, whole: bool, is_late: bool
) -> ReviewedMessage:
    old_index, new_index = shown.diff.old_index, shown.diff.new_index
    here = [one for one in said if (one[0], one[1]) in ((old_index, "old"), (new_index, "new"))]
    left_out = not (here or whole) and (is_late or not shown.is_open)
    stretches: list[Stretch] = []
    numbers = [1, 1]
    for block in () if left_out else shown.blocks:
        lines = list(_lines(block.rows, numbers, inline=inline))
        for line in lines:
            line.threads = [
                *said.get((old_index if old_index is not None else -1, "old", line.old_number or -1), ()),
                *said.get((new_index if new_index is not None else -1, "new", line.new_number or -1), ()),
            ]
        stretches.append(Stretch(lines, block.is_folded and not any(line.threads for line in lines)))
    of_whole = [
        thread
        for index, side in ((old_index, "old"), (new_index, "new"))
        if index is not None
        for thread in said.get((index, side, None), ())
    ]
    return ReviewedMessage(shown, place, stretches, of_whole, shown.is_open or bool(here), left_out)


def _lines(rows: Iterable[Row], numbers: list[int], *, inline: bool) -> Iterator[Line]:
    """Cut rows into lines; ``numbers`` are the next ones of both sides, and go on from row to row."""
    was_changed = False
    for row in rows:
        old = [] if row.old is None else _cut(row.old)
        new = [] if row.new is None else _cut(row.new)
        olds = list(enumerate(old, start=numbers[0]))
        news = list(enumerate(new, start=numbers[1]))
        numbers[0] += len(olds)
        numbers[1] += len(news)
        if inline and row.is_changed:
            found = [Line(number, None, text, None, True) for number, text in olds]
            found += [Line(None, number, None, text, True) for number, text in news]
        else:
            found = [
                Line(before[0], after[0], before[1], after[1], row.is_changed)
                for before, after in zip_longest(olds, news, fillvalue=(None, None))
            ]
        if found and row.is_changed and not was_changed:
            found[0].is_first = True
        was_changed = row.is_changed
        yield from found


def _cut(spans: Sequence[Span]) -> list[SafeString]:
    """The lines of a side as HTML. A line end that came or went is an empty mark, which the style makes visible."""
    lines = [""]
    for span in spans:
        for count, text in enumerate(span.text.split("\n")):
            if count:
                lines.append("")
            if not text:
                continue
            if span.op == "equal":
                lines[-1] += escape(text)
                continue
            tag = "ins" if span.op == "insert" else "del"
            lines[-1] += f'<{tag} class="line-end"></{tag}>' if text == LINE_END else f"<{tag}>{escape(text)}</{tag}>"
    return [mark_safe(line) for line in lines]  # noqa: S308 (every text in it was escaped above)
