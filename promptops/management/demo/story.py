"""The form of a prompt's history: what its people did, one step after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from promptops.accounts.models import Role

Content: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Save:
    """A version with its commit message. Versions are numbered 1, 2, 3 … in the order of their steps."""

    by: Role
    message: str
    content: Content


@dataclass(frozen=True)
class Move:
    """A label put on a version, with the reason."""

    by: Role
    label: str
    version: int
    reason: str


@dataclass(frozen=True)
class RollBack:
    """A label back where it stood before, with the reason."""

    by: Role
    label: str
    reason: str


@dataclass(frozen=True)
class Try:
    """A run for each of the inputs: of the version with a number, or of the one under a label at that moment."""

    by: Role
    of: int | str
    inputs: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class TryBatch:
    """The same as one batch."""

    by: Role
    of: int | str
    inputs: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Protect:
    """From now on a label of the prompt moves by review alone."""

    by: Role
    label: str
    approvals: int


@dataclass(frozen=True)
class Propose:
    """A version proposed for a label, with whose review is asked for and what the first of them remarks."""

    by: Role
    version: int
    label: str
    title: str
    description: str
    reviewers: Sequence[Role]
    remark: str


Step: TypeAlias = Save | Move | RollBack | Try | TryBatch | Protect | Propose


@dataclass(frozen=True)
class DemoPrompt:
    """A prompt with its history."""

    slug: str
    folder: str
    description: str
    tags: Sequence[str]
    steps: Sequence[Step] = field(repr=False)

    @property
    def standing(self) -> dict[str, int]:
        """Where each label stands when the story is over, by its name."""
        before: dict[str, list[int]] = {}
        for step in self.steps:
            if isinstance(step, Move):
                before.setdefault(step.label, []).append(step.version)
            elif isinstance(step, RollBack):
                before[step.label].pop()
        return {label: versions[-1] for label, versions in before.items()}
