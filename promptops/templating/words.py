"""The difference of two texts in words.

The algorithm is Myers' ("An O(ND) Difference Algorithm and Its Variations", Algorithmica 1986), first over lines,
then over the words of the lines that changed. Its effort is bounded: texts that share almost nothing are shown as
replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Op = Literal["equal", "delete", "insert"]

# Marks that belong to the letter before them, although Python's `\w` doesn't think so (accents, Indic vowel signs,
# joiners).
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0900-\u0dff\u1ab0-\u1aff\u1dc0-\u1dff"
    "\u200c\u200d"
)
# Scripts written without spaces: Han, Kana, Thai, Lao, Burmese, Khmer. Their unit is the character, with its marks.
_UNSPACED = (
    "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
)
_UNSPACED_MARKS = (
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd\u102b-\u103e\u17b4-\u17d3\u3099\u309a"
)
# A tag of a template is one thing: half of it means nothing to a reader. Bounded, so that no text takes long.
_TAG = r"\{\{[^{}\n]{1,200}\}\}|\{%[^{}\n]{1,200}%\}|\{[A-Za-z_]\w{0,99}\}"
_WORD = re.compile(
    rf"""{_TAG}
    | \r?\n
    | [^\S\n]+
    | [{_UNSPACED}][{_UNSPACED_MARKS}]*
    | (?:(?![{_UNSPACED}])[\w{_MARKS}])+(?:['’](?:(?![{_UNSPACED}])[\w{_MARKS}])+)*
    | .(?:[\ufe0e\ufe0f\u20e3{_MARKS}\U0001f3fb-\U0001f3ff]|(?<=\u200d).)*""",
    re.VERBOSE | re.DOTALL,
)

# Comparisons that one difference may make: half a second in Python.
_EFFORT = 1_000_000
# Edits after which two texts count as unrelated. Also bounds the memory of the search, which is its square.
_MAX_EDITS = 600
# Changed lines longer than this together are not split into words: a word takes fifty times its memory.
_MAX_CHARS = 200_000


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of text that both sides have ("equal"), or only the old ("delete") or the new one ("insert")."""

    op: Op
    text: str


def words_of(text: str) -> list[str]:
    """The units of the difference: words, runs of spaces, line ends, single characters of everything else. Joined
    again they are the text.
    """
    return _WORD.findall(text)


def diff_texts(old: str, new: str) -> list[Span]:
    """The spans that lead from `old` to `new`: equal and deleted ones are the old text, equal and inserted ones the
    new.
    """
    if old == new:
        return [Span("equal", old)] if old else []
    effort = _Effort()
    spans: list[Span] = []
    for op, deleted, inserted in _diff(old.splitlines(keepends=True), new.splitlines(keepends=True), effort):
        if op == "equal":
            spans.append(Span("equal", "".join(deleted)))
            continue
        spans += _diff_words("".join(deleted), "".join(inserted), effort)
    return _tidy(spans)


def _diff_words(old: str, new: str, effort: _Effort) -> Iterator[Span]:
    if len(old) + len(new) > _MAX_CHARS:
        yield from (Span("delete", old), Span("insert", new))
        return
    for op, old_words, new_words in _diff(words_of(old), words_of(new), effort):
        if op == "equal":
            yield Span("equal", "".join(old_words))
        else:
            yield from (Span("delete", "".join(old_words)), Span("insert", "".join(new_words)))


def _tidy(spans: list[Span]) -> list[Span]:
    """Joins neighbours, deletion before insertion, and takes a lone space between two changes into both: it is easier
    to read that two words were replaced by two others than word by word.
    """
    tidy: list[Span] = []
    deleted = inserted = ""
    for position, span in enumerate(spans):
        is_space = span.op == "equal" and not span.text.strip(" \t")
        if span.op == "delete":
            deleted += span.text
        elif span.op == "insert":
            inserted += span.text
        elif (
            is_space
            and deleted
            and inserted
            and any(later.op != "equal" for later in spans[position + 1 : position + 2])
        ):
            deleted += span.text
            inserted += span.text
        else:
            tidy += [Span("delete", deleted), Span("insert", inserted), span]
            deleted = inserted = ""
    tidy += [Span("delete", deleted), Span("insert", inserted)]
    joined: list[Span] = []
    for span in tidy:
        if not span.text:
            continue
        if joined and joined[-1].op == span.op:
            joined[-1] = Span(span.op, joined[-1].text + span.text)
        else:
            joined.append(span)
    return joined


class _Effort:
    def __init__(self) -> None:
        self.left = _EFFORT


def _diff(
    old: Sequence[str], new: Sequence[str], effort: _Effort
) -> Iterator[tuple[str, Sequence[str], Sequence[str]]]:
    """("equal", run, run) and ("replace", deleted run, inserted run), in order."""
    start = 0
    shortest = min(len(old), len(new))
    while start < shortest and old[start] == new[start]:
        start += 1
    end = 0
    while end < shortest - start and old[len(old) - 1 - end] == new[len(new) - 1 - end]:
        end += 1
    if start:
        yield "equal", old[:start], old[:start]
    old_middle, new_middle = old[start : len(old) - end], new[start : len(new) - end]
    if old_middle and new_middle:
        yield from _runs(old_middle, new_middle, _matches(old_middle, new_middle, effort))
    elif old_middle or new_middle:
        yield "replace", old_middle, new_middle
    if end:
        yield "equal", old[len(old) - end :], old[len(old) - end :]


def _runs(
    old: Sequence[str], new: Sequence[str], matches: list[tuple[int, int]]
) -> Iterator[tuple[str, Sequence[str], Sequence[str]]]:
    """Turns pairs of equal positions into runs."""
    old_at = new_at = 0
    position = 0
    while position < len(matches):
        old_start, new_start = matches[position]
        length = 1
        while position + length < len(matches) and matches[position + length] == (
            old_start + length,
            new_start + length,
        ):
            length += 1
        if old_start > old_at or new_start > new_at:
            yield "replace", old[old_at:old_start], new[new_at:new_start]
        yield "equal", old[old_start : old_start + length], new[new_start : new_start + length]
        old_at, new_at = old_start + length, new_start + length
        position += length
    if old_at < len(old) or new_at < len(new):
        yield "replace", old[old_at:], new[new_at:]


def _matches(old: Sequence[str], new: Sequence[str], effort: _Effort) -> list[tuple[int, int]]:
    """The pairs of equal positions on a shortest path of edits; none when that is too far or too much effort."""
    # reach[k] is how far in `old` one gets on diagonal k (old position - new position) with the edits so far.
    reach = {1: 0}
    trail: list[dict[int, int]] = []
    for edits in range(min(len(old) + len(new), _MAX_EDITS) + 1):
        trail.append(dict(reach))
        for diagonal in range(-edits, edits + 1, 2):
            down = diagonal == -edits or (
                diagonal != edits and reach.get(diagonal - 1, -1) < reach.get(diagonal + 1, -1)
            )
            x = reach[diagonal + 1] if down else reach[diagonal - 1] + 1
            y = x - diagonal
            before = x
            while x < len(old) and y < len(new) and old[x] == new[y]:
                x, y = x + 1, y + 1
            effort.left -= x - before + 1
            reach[diagonal] = x
            if x >= len(old) and y >= len(new):
                return _walk_back(trail, len(old), len(new))
        if effort.left < 0:
            break
    return []


def _walk_back(trail: list[dict[int, int]], x: int, y: int) -> list[tuple[int, int]]:
    matches: list[tuple[int, int]] = []
    for edits in range(len(trail) - 1, -1, -1):
        reach = trail[edits]
        diagonal = x - y
        down = diagonal == -edits or (diagonal != edits and reach.get(diagonal - 1, -1) < reach.get(diagonal + 1, -1))
        previous = diagonal + 1 if down else diagonal - 1
        previous_x = reach.get(previous, 0)
        previous_y = previous_x - previous
        while x > max(previous_x, 0) and y > max(previous_y, 0):
            x, y = x - 1, y - 1
            matches.append((x, y))
        x, y = previous_x, previous_y
    matches.reverse()
    return matches
