"""Three-way merge of specs: what two versions each changed of a common base, put together.

A change that only one side made is taken, a change that both made alike is taken once. What both changed differently is
a conflict: it is told, never guessed. Messages are merged one by one; two changes of one message's content conflict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .alignment import align
from .spec import canonical_message_key, canonical_spec
from .template import JsonObject

_ABSENT: Any = object()
_EMPTY: JsonObject = {"messages": [], "parameters": {}, "variables": {}, "output_schema": None}


@dataclass(frozen=True, slots=True)
class MergeConflict:
    """What both sides changed differently. A side that lacks it has None.

    `path` has dots: `messages.1.content` (the index counts in the merged content), `parameters.temperature`,
    `variables.name.type`. Where messages were added, removed or reordered on both sides, the path is `messages.<index>`
    and the values are lists of messages.
    """

    path: str
    base: Any
    ours: Any
    theirs: Any

    def as_json(self) -> JsonObject:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Merge:
    """The merged content. Where there are `conflicts`, it has *our* side at each of them: something to go on from, not
    to be saved unseen.
    """

    content: JsonObject
    conflicts: list[MergeConflict]

    @property
    def is_clean(self) -> bool:
        return not self.conflicts


def merge(base: Mapping[str, Any] | None, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Merge:
    """Merge two valid specs that both came from `base` (None: they have nothing in common)."""
    mine, other = canonical_spec(ours), canonical_spec(theirs)
    common = canonical_spec(base) if base is not None else {**_EMPTY, "kind": _ABSENT, "syntax": _ABSENT}
    conflicts: list[MergeConflict] = []
    content: JsonObject = {}
    for key in ("kind", "syntax"):
        content[key] = _value(key, common[key], mine[key], other[key], conflicts)
    content["messages"] = _messages(common["messages"], mine["messages"], other["messages"], conflicts)
    for key, depth in (("parameters", 0), ("variables", 1)):
        content[key] = _object(key, common[key], mine[key], other[key], depth, conflicts)
    content["output_schema"] = _value(
        "output_schema", common["output_schema"], mine["output_schema"], other["output_schema"], conflicts
    )
    return Merge(content, conflicts)


def _value(path: str, base: Any, ours: Any, theirs: Any, conflicts: list[MergeConflict]) -> Any:
    if _same(ours, theirs) or _same(base, theirs):
        return ours
    if _same(base, ours):
        return theirs
    conflicts.append(MergeConflict(path, *(None if one is _ABSENT else one for one in (base, ours, theirs))))
    return ours


def _object(
    path: str,
    base: Mapping[str, Any],
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
    depth: int,
    conflicts: list[MergeConflict],
) -> JsonObject:
    """Merge key by key, going `depth` levels into objects that all three have."""
    merged: JsonObject = {}
    for key in dict.fromkeys([*ours, *theirs, *base]):
        before, mine, other = (side.get(key, _ABSENT) for side in (base, ours, theirs))
        below = f"{path}.{key}"
        if depth and all(isinstance(side, dict) for side in (before, mine, other)):
            merged[key] = _object(below, before, mine, other, depth - 1, conflicts)
            continue
        value = _value(below, before, mine, other, conflicts)
        if value is not _ABSENT:
            merged[key] = value
    return merged


def _messages(
    base: list[JsonObject], ours: list[JsonObject], theirs: list[JsonObject], conflicts: list[MergeConflict]
) -> list[JsonObject]:
    """Messages that both sides kept are merged one by one; what lies between two of them is merged as a whole."""
    in_ours, in_theirs = dict(_kept(base, ours)), dict(_kept(base, theirs))
    merged: list[JsonObject] = []
    at = (0, 0, 0)
    for index in [*(one for one in range(len(base)) if one in in_ours and one in in_theirs), None]:
        here = (len(base), len(ours), len(theirs)) if index is None else (index, in_ours[index], in_theirs[index])
        between = (base[at[0] : here[0]], ours[at[1] : here[1]], theirs[at[2] : here[2]])
        merged += _run(len(merged), *between, conflicts)
        if index is not None:
            three = (base[here[0]], ours[here[1]], theirs[here[2]])
            merged.append(_object(f"messages.{len(merged)}", *three, 0, conflicts))
        at = (here[0] + 1, here[1] + 1, here[2] + 1)
    return merged


def _kept(base: list[JsonObject], side: list[JsonObject]) -> Iterable[tuple[int, int]]:
    """Which message is which. A message and a placeholder are never the same one."""
    if _same(base, side):
        return [(index, index) for index in range(len(base))]
    kept, _moved = align(base, side)
    return [pair for pair in kept if base[pair[0]].get("type") == side[pair[1]].get("type")]


def _run(
    place: int,
    base: Sequence[JsonObject],
    ours: Sequence[JsonObject],
    theirs: Sequence[JsonObject],
    conflicts: list[MergeConflict],
) -> list[JsonObject]:
    """Messages between two that both sides kept: those that a side added, removed or rewrote beyond recognition."""
    if len(base) == len(ours) == len(theirs):
        # As many as before, of the same kinds: each is the one that stood there, however much was rewritten.
        rows = list(zip(base, ours, theirs, strict=True))
        if all(row[0].get("type") == row[1].get("type") == row[2].get("type") for row in rows):
            return [_object(f"messages.{place + index}", *row, 0, conflicts) for index, row in enumerate(rows)]
    merged: list[JsonObject] = _value(f"messages.{place}", list(base), list(ours), list(theirs), conflicts)
    return merged


def _same(one: Any, other: Any) -> bool:
    if one is _ABSENT or other is _ABSENT:
        return one is other
    return canonical_message_key({"value": one}) == canonical_message_key({"value": other})
