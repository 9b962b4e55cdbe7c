"""Checks: what a machine can say of a candidate. A policy names those that must pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from promptops.core.errors import Conflict
from promptops.prompts.composition import composed_version
from promptops.prompts.models import PromptVersion
from promptops.prompts.selectors import diff_versions

Check = Callable[[PromptVersion, PromptVersion | None], "Outcome"]


@dataclass(frozen=True)
class Outcome:
    """``findings`` are JSON objects with a ``code`` and a ``message``, also those that do not make it fail."""

    passed: bool
    findings: list[dict[str, Any]]


def lint(candidate: PromptVersion, _replaces: PromptVersion | None) -> Outcome:
    """Passes without findings of severity ``error``, when what it includes can be put in."""
    try:
        found = composed_version(candidate).composed.lint()
    except Conflict as error:
        return Outcome(False, [{"code": error.code, "severity": "error", "message": error.detail}])
    return Outcome(all(one.severity != "error" for one in found), [asdict(one) for one in found])


def contract(candidate: PromptVersion, replaces: PromptVersion | None) -> Outcome:
    """Passes where callers of what stands under the label need not change anything."""
    breaking = diff_versions(replaces, candidate).breaking if replaces else []
    return Outcome(not breaking, [asdict(one) for one in breaking])


CHECKS: dict[str, Check] = {"lint": lint, "contract": contract}
