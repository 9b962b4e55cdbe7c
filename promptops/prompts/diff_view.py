"""The difference of two versions as a page shows it: rows in which both sides stand beside each other, folded where
nothing changed, and a summary in one line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from promptops.prompts.forms import plain_json, pretty_json
from promptops.templating import Breaking, FieldDiff, MessageDiff, Span, SpecDiff, is_use, words_of

# Unchanged lines that stay visible around a change, and the least number that is worth a fold.
CONTEXT_LINES = 3
MIN_FOLD = 4
LINE_END = "↵"
# A value as JSON that is longer than this (characters) goes over several lines.
ONE_LINE = 60


@dataclass(frozen=True, slots=True)
class Row:
    """Lines that stand beside each other; a side that lacks them is None. ``spans`` is both sides in one."""

    spans: list[Span]
    old: list[Span] | None
    new: list[Span] | None
    is_changed: bool


@dataclass(frozen=True, slots=True)
class Block:
    """Rows in a stretch; a folded one holds nothing that changed."""

    rows: list[Row]
    is_folded: bool


@dataclass(frozen=True)
class ShownField:
    """A value that changed, as text."""

    path: str
    status: str
    old: str
    new: str


@dataclass(frozen=True)
class ShownDiff:
    """One message in the comparison. Numbers count from 1; ``is_open`` is False where nothing changed.

    ``is_use``: it stands for another prompt's messages; its text is the name of that prompt.
    """

    diff: MessageDiff
    old_number: int | None
    new_number: int | None
    placeholder: str
    fields: list[ShownField]
    blocks: list[Block]
    is_open: bool
    is_use: bool = False


@dataclass(frozen=True)
class Summary:
    """How much changed: counts of messages by what happened to them, words, and the names of other changes."""

    changed: int = 0
    added: int = 0
    removed: int = 0
    moved: int = 0
    words_added: int = 0
    words_removed: int = 0
    parameters: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    schema_changed: bool = False
    breaking: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing changed at all."""
        counts = self.changed + self.added + self.removed + self.moved
        return not (counts or self.parameters or self.variables or self.settings or self.schema_changed)


@dataclass(frozen=True)
class Comparison:
    """The whole comparison."""

    diff: SpecDiff
    messages: list[ShownDiff]
    sections: list[tuple[str, list[ShownField]]]
    summary: Summary


def comparison_of(diff: SpecDiff, old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> Comparison:
    """Return the difference of two contents for a page; ``old`` and ``new`` are their messages."""
    sections = [
        ("settings", _shown_fields(diff.settings)),
        ("parameters", _shown_fields(diff.parameters)),
        ("variables", _shown_fields(diff.variables)),
        ("output_schema", _shown_fields(diff.output_schema)),
    ]
    return Comparison(
        diff,
        [_shown_message(message, old, new) for message in diff.messages],
        [(name, fields) for name, fields in sections if fields],
        summary_of(diff),
    )


def summary_of(diff: SpecDiff) -> Summary:
    """Return how much changed."""
    by_status = Counter(message.status for message in diff.messages)
    spans = [span for message in diff.messages for span in message.spans]
    return Summary(
        changed=by_status["changed"],
        added=by_status["added"],
        removed=by_status["removed"],
        moved=by_status["moved"],
        words_added=_words(span.text for span in spans if span.op == "insert"),
        words_removed=_words(span.text for span in spans if span.op == "delete"),
        parameters=[one.path for one in diff.parameters],
        variables=list(dict.fromkeys(one.path.split(".")[0] for one in diff.variables)),
        settings=[one.path for one in diff.settings],
        schema_changed=bool(diff.output_schema),
        breaking=[_sentence(one) for one in diff.breaking],
    )


def _sentence(breaking: Breaking) -> str:
    """What callers have to follow, in the reader's language."""
    texts = {
        "variable_removed": _("The variable “%(name)s” is no longer used: a value for it is ignored."),
        "variable_required": _("The variable “%(name)s” must be given now."),
        "variable_type": _("The variable “%(name)s” has another type now."),
        "variable_max_length": _("The variable “%(name)s” may be less long now."),
        "output_schema_removed": _("The output no longer follows a schema."),
        "output_property_removed": _("The output no longer has “%(name)s”."),
    }
    return texts[breaking.code] % {"name": breaking.name} if breaking.code in texts else breaking.message


def rows_of(spans: Iterable[Span]) -> list[Row]:
    """Cut the words of two texts into rows. A row ends where both sides are at the end of a line."""
    rows: list[Row] = []
    gathered: list[Span] = []
    spans = list(spans)
    # Whether each side has any text: then a line that the other one fills is an empty line there, not an absent one.
    filled = (any(span.op != "insert" for span in spans), any(span.op != "delete" for span in spans))
    for span in _on_lines(spans):
        if span.op != "equal":
            gathered.append(span)
            continue
        if gathered and _at_line_start(gathered):
            rows.append(_row(gathered))
            gathered = []
        *whole, rest = span.text.split("\n")
        for line in whole:
            rows.append(_row([*gathered, Span("equal", line)], filled=filled))
            gathered = []
        if rest:
            gathered.append(Span("equal", rest))
    if gathered:
        rows.append(_row(gathered))
    return rows


def folded(rows: Sequence[Row]) -> list[Block]:
    """Group rows into blocks: changes with some lines around them, and folds of what lies between."""
    near = [False] * len(rows)
    for index, row in enumerate(rows):
        if row.is_changed:
            low, high = max(0, index - CONTEXT_LINES), min(len(rows), index + CONTEXT_LINES + 1)
            near[low:high] = [True] * (high - low)
    blocks: list[Block] = []
    for rows_there, is_near in _runs(rows, near):
        is_folded = not is_near and len(rows_there) >= MIN_FOLD
        if blocks and not is_folded and not blocks[-1].is_folded:
            blocks[-1] = Block([*blocks[-1].rows, *rows_there], False)
        else:
            blocks.append(Block(rows_there, is_folded))
    return blocks


def _runs(rows: Sequence[Row], marks: Sequence[bool]) -> Iterator[tuple[list[Row], bool]]:
    start = 0
    for index in range(1, len(rows) + 1):
        if index == len(rows) or marks[index] != marks[start]:
            yield list(rows[start:index]), marks[start]
            start = index


def _on_lines(spans: list[Span]) -> list[Span]:
    """Slide changes that go over a line's end to begin and end with lines: of equal texts, people mean whole lines."""
    if not spans:
        return []
    # The end of both texts is the end of a line, too.
    spans.append(Span("equal", "\n"))
    if spans[-2].op == "equal":
        spans[-2:] = [Span("equal", spans[-2].text + "\n")]
    for index in range(1, len(spans) - 1):
        before, span, after = spans[index - 1 : index + 2]
        if before.op == after.op == "equal" != span.op and "\n" in span.text:
            # How far the beginning of the change is also what follows it: that far it can slide.
            for shift, (ours, theirs) in enumerate(zip(span.text, after.text, strict=False), start=1):
                if ours != theirs:
                    break
                if ours == "\n":
                    spans[index - 1] = Span("equal", before.text + span.text[:shift])
                    spans[index] = Span(span.op, span.text[shift:] + span.text[:shift])
                    spans[index + 1] = Span("equal", after.text[shift:])
                    break
    return [span for span in spans if span.text]


def _at_line_start(spans: Sequence[Span]) -> bool:
    """Whether what follows begins a line on both sides. (Each row begins one.)"""
    return all(not text or text.endswith("\n") for text in (_side(spans, "insert"), _side(spans, "delete")))


def _side(spans: Sequence[Span], without: str) -> str:
    return "".join(span.text for span in spans if span.op != without)


def _row(spans: Sequence[Span], *, filled: tuple[bool, bool] | None = None) -> Row:
    """``filled``: a line end follows that both sides have. Else the texts end with their own, which is not shown."""
    if all(span.op == "equal" for span in spans):
        return Row(list(spans), list(spans), list(spans), False)
    shown = [_visible(span) for span in spans if span.text]
    old = [span for span in shown if span.op != "insert"]
    new = [span for span in shown if span.op != "delete"]
    if filled is not None:
        empty = [Span("equal", "")]
        return Row(shown, old or (empty if filled[0] else None), new or (empty if filled[1] else None), True)
    old, new = _ended(old), _ended(new)
    # Whole lines that only one side has stand beside nothing.
    return Row(_ended(shown), old or None, new or None, True)


def _ended(spans: list[Span]) -> list[Span]:
    """Without the last line end: the row ends there."""
    if spans and spans[-1].text.endswith("\n"):
        spans[-1] = Span(spans[-1].op, spans[-1].text[:-1])
    return spans


def _visible(span: Span) -> Span:
    """A line end that came or went would not be seen."""
    if span.op == "equal" or span.text.strip("\n"):
        return span
    return Span(span.op, f"{LINE_END}\n" * len(span.text))


def _shown_message(message: MessageDiff, old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> ShownDiff:
    own = new[message.new_index] if message.new_index is not None else old[message.old_index or 0]
    rows = rows_of(message.spans)
    if message.status in ("added", "removed"):
        blocks = [Block(rows, False)] if rows else []
    else:
        blocks = folded(rows) if any(row.is_changed for row in rows) else [Block(rows, False)] if rows else []
    return ShownDiff(
        diff=message,
        old_number=None if message.old_index is None else message.old_index + 1,
        new_number=None if message.new_index is None else message.new_index + 1,
        placeholder=str(own.get("name", "")) if own.get("type") == "placeholder" else "",
        is_use=is_use(own),
        fields=_shown_fields(message.fields),
        blocks=blocks,
        is_open=message.status in ("added", "removed") or any(row.is_changed for row in rows),
    )


def _shown_fields(fields: Iterable[FieldDiff]) -> list[ShownField]:
    return [ShownField(one.path, one.status, _text(one.old), _text(one.new)) for one in fields]


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = plain_json(value)
    return text if len(text) <= ONE_LINE or isinstance(value, str) else pretty_json(value)


def _words(texts: Iterable[str]) -> int:
    """Words, or characters of scripts without spaces; punctuation is none."""
    return sum(any(character.isalnum() for character in word) for text in texts for word in words_of(text))
