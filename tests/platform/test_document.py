"""What docs/operations.md says of the environment and of commands is what the code reads and has."""

from __future__ import annotations

import re

from django.core.management import get_commands

from tests.web import ROOT

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
# Of Python and its libraries, and of the examples for callers.
NOT_FOR_OPERATORS = {"DJANGO_SETTINGS_MODULE", "MALLOC_ARENA_MAX", "OMP_WAIT_POLICY", "PATH", "PROMPTOPS_TOKEN"}


def documented() -> set[str]:
    table = OPERATIONS.partition("## Environment")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", table, flags=re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def read() -> set[str]:
    found: set[str] = set()
    for path in (ROOT / "promptops").rglob("*.py"):
        text = path.read_text()
        found |= set(re.findall(r'(?:env_\w+|from_url)\("([A-Z_]+)"', text))
        found |= set(re.findall(r'environ(?:\.get\(|\.setdefault\(|\[)"([A-Z_]+)"', text))
        found |= set(re.findall(r'^[A-Z_]+_URL = "([A-Z_]+)"', text, flags=re.MULTILINE))
    return found - NOT_FOR_OPERATORS


def test_it_documents_every_variable_and_no_other() -> None:
    assert read() - documented() == set(), "not in docs/operations.md"
    assert documented() - read() == set(), "not read anywhere"


def test_it_names_commands_that_exist() -> None:
    named = set(re.findall(r"manage\.py (\w+)", OPERATIONS))
    assert named - {"NAME"} <= set(get_commands())
    from promptops.management import commands

    ours = {name for name, app in get_commands().items() if app == commands.__name__.rpartition(".management")[0]}
    assert ours - named == {"prepare_model"}, "a command of ours that nobody is told of"
