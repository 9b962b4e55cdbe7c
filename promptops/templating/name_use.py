"""A use of a variable inside one source text: what the analysers of the three syntaxes report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NameUse:
    """`offset` counts characters; `type_hint` is object, array, number, boolean or string; `optional` says that the
    template copes with the variable's absence here. `sections` are the mustache sections around it, outermost first.
    """

    name: str
    offset: int
    type_hint: str
    optional: bool = False
    sections: tuple[str, ...] = ()
