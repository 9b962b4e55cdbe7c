"""Drafts: saved as typed, and never silently overwritten."""

from typing import Any

import pytest

from promptops.core.errors import Conflict, Forbidden, Invalid, TooLarge
from promptops.prompts.models import Draft
from promptops.prompts.services import (
    StaleDraft,
    commit_draft,
    create_version,
    discard_draft,
    open_draft,
    rebase_draft,
    save_draft,
    start_draft,
)
from tests.people import GREETING, Team


def typed(text: str) -> dict[str, Any]:
    return {**GREETING, "messages": [{"role": "user", "content": text}]}


def test_a_draft_begins_at_the_newest_version_and_is_stored_when_something_is_typed(team: Team) -> None:
    version = team.prompt()
    draft = open_draft(team.actor("editor"), version.prompt)
    assert draft.pk is None
    assert (draft.revision, draft.base_version) == (0, version)
    assert draft.content["messages"] == GREETING["messages"]

    saved = save_draft(team.actor("editor"), draft, revision=0, content=typed("{{ unfinished"))
    reopened = open_draft(team.actor("editor"), version.prompt)
    assert (reopened, reopened.revision) == (saved, 1)
    assert reopened.content["messages"][0]["content"] == "{{ unfinished"


def test_two_tabs_never_overwrite_each_other(team: Team) -> None:
    editor = team.actor("editor")
    prompt = team.prompt().prompt
    first_tab = save_draft(editor, open_draft(editor, prompt), revision=0, content=typed("one"))
    save_draft(editor, open_draft(editor, prompt), revision=1, content=typed("two"))
    with pytest.raises(StaleDraft) as stale:
        save_draft(editor, first_tab, revision=1, content=typed("three"))

    assert stale.value.extra["stored"]["content"]["messages"][0]["content"] == "two"
    assert stale.value.extra["yours"]["content"]["messages"][0]["content"] == "three"
    assert open_draft(editor, prompt).content["messages"][0]["content"] == "two"


def test_two_tabs_that_both_begin_a_draft_conflict_too(team: Team) -> None:
    editor = team.actor("editor")
    prompt = team.prompt().prompt
    one, two = open_draft(editor, prompt), open_draft(editor, prompt)
    save_draft(editor, one, revision=0, content=typed("one"))
    with pytest.raises(StaleDraft):
        save_draft(editor, two, revision=0, content=typed("two"))
    assert Draft.objects.count() == 1


def test_saving_makes_a_version_and_ends_the_draft(team: Team) -> None:
    editor = team.actor("editor")
    prompt = team.prompt().prompt
    draft = save_draft(editor, open_draft(editor, prompt), revision=0, content=typed("better {{ name }}"))
    version, created = commit_draft(editor, draft, revision=1, message="why")

    assert (version.number, created, version.message) == (2, True, "why")
    assert Draft.objects.count() == 0
    with pytest.raises(StaleDraft) as stale:
        save_draft(editor, draft, revision=1, content=typed("late keystroke"))
    assert stale.value.extra["yours"]["content"]["messages"][0]["content"] == "late keystroke"


def test_a_malformed_draft_stays_a_draft(team: Team) -> None:
    editor = team.actor("editor")
    prompt = team.prompt().prompt
    draft = save_draft(editor, open_draft(editor, prompt), revision=0, content=typed("{{ open"))
    with pytest.raises(Invalid):
        commit_draft(editor, draft, revision=1)
    assert open_draft(editor, prompt).revision == 1


def test_a_version_saved_by_somebody_else_is_shown_before_one_saves_on_top(team: Team) -> None:
    editor = team.actor("editor")
    prompt = team.prompt().prompt
    draft = save_draft(editor, open_draft(editor, prompt), revision=0, content=typed("mine"))
    theirs, _created = create_version(team.actor("reviewer"), prompt, typed("theirs"))
    with pytest.raises(Conflict) as refused:
        commit_draft(editor, draft, revision=1)
    assert refused.value.code == "stale_version"

    draft = rebase_draft(editor, draft, onto=theirs)
    version, _created = commit_draft(editor, draft, revision=draft.revision)
    assert (version.number, version.parent) == (3, theirs)
    assert version.content["messages"][0]["content"] == "mine"


def test_a_new_prompt_begins_as_a_draft(team: Team) -> None:
    editor = team.actor("editor")
    draft = save_draft(
        editor,
        start_draft(editor, team.project),
        revision=0,
        content=typed("Hello {{ name }}"),
        heading={"slug": "hello", "folder": "a/b", "tags": ["x"]},
    )
    version, created = commit_draft(editor, draft, revision=1, message="first")
    assert created
    assert (version.prompt.slug, version.prompt.folder, version.number) == ("hello", "a/b", 1)


def test_a_discarded_draft_can_be_brought_back(team: Team) -> None:
    editor = team.actor("editor")
    prompt = team.prompt().prompt
    draft = save_draft(editor, open_draft(editor, prompt), revision=0, content=typed("precious"))
    held = discard_draft(editor, draft)
    assert Draft.objects.count() == 0
    again = save_draft(editor, open_draft(editor, prompt), revision=0, **held)
    assert again.content["messages"][0]["content"] == "precious"


def test_a_draft_is_its_owners(team: Team) -> None:
    editor = team.actor("editor")
    draft = save_draft(editor, open_draft(editor, team.prompt().prompt), revision=0, content=typed("x"))
    with pytest.raises(Forbidden):
        save_draft(team.actor("reviewer"), draft, revision=1, content=typed("y"))
    draft.collaborators.add(team.reviewer)
    assert save_draft(team.actor("reviewer"), draft, revision=1, content=typed("y")).revision == 2


def test_what_cannot_be_stored_is_refused_in_words(team: Team) -> None:
    editor = team.actor("editor")
    draft = open_draft(editor, team.prompt().prompt)
    with pytest.raises(TooLarge):
        save_draft(editor, draft, revision=0, content=typed("x" * 2_100_000))
    with pytest.raises(Invalid, match="NUL"):
        save_draft(editor, draft, revision=0, content=typed("a\x00b"))
