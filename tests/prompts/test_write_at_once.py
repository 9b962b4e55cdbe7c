"""Several writers at the same moment, each in a transaction of its own: one wins, the others are told why."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connection, transaction

from promptops.audit.services import verify
from promptops.core.errors import AppError, Conflict
from promptops.prompts.models import Draft, Label, LabelMove, Prompt, PromptSlug, PromptVersion
from promptops.prompts.services import (
    StaleDraft,
    archive_prompt,
    commit_draft,
    create_prompt,
    create_version,
    discard_draft,
    move_label,
    open_draft,
    rebase_draft,
    rollback_label,
    save_draft,
    update_prompt,
)
from tests.people import GREETING, Team, make_team
from tests.prompts.pages import said, versions

pytestmark = pytest.mark.django_db(transaction=True)
WRITERS = 6
PATIENCE_SECONDS = 20


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Make the calls in threads that start together. Returns what each returned, or its domain error."""
    gate = threading.Barrier(len(calls))
    outcomes: list[Any] = [None] * len(calls)

    def make(place: int) -> None:
        gate.wait()
        try:
            outcomes[place] = calls[place]()
        except AppError as error:
            outcomes[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=make, args=[place], daemon=True) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"
    return outcomes


def codes(outcomes: Sequence[Any]) -> list[str]:
    """The codes of those that were refused."""
    return sorted(one.code for one in outcomes if isinstance(one, AppError))


def text_of(draft: Draft) -> str:
    return str(draft.content["messages"][0]["content"])


def moves_in_order(label: str = "production") -> list[LabelMove]:
    moves = LabelMove.objects.filter(label__name=label).select_related("from_version", "to_version")
    return list(moves.order_by("at", "id"))


@pytest.fixture
def busy() -> Team:
    return make_team()


def test_of_savers_who_began_from_the_same_version_one_saves(busy: Team) -> None:
    prompt = busy.prompt().prompt

    def save(number: int) -> Any:
        content = {**GREETING, "messages": said(f"writer {number}")}
        return create_version(busy.actor("editor"), prompt, content, expected_head=1)

    outcomes = at_once([lambda number=number: save(number) for number in range(WRITERS)])  # type: ignore[misc]
    assert codes(outcomes) == ["stale_version"] * (WRITERS - 1)
    assert sorted(prompt.versions.values_list("number", flat=True)) == [1, 2]
    assert verify(busy.project.pk).valid


def test_the_same_text_saved_twice_at_once_is_one_version(busy: Team) -> None:
    prompt = busy.prompt().prompt
    content = {**GREETING, "messages": said("the same")}
    outcomes = at_once([lambda: create_version(busy.actor("editor"), prompt, content)] * WRITERS)
    assert sorted(created for _version, created in outcomes) == [False] * (WRITERS - 1) + [True]
    assert {version.number for version, _created in outcomes} == {2}


def test_saving_one_prompt_waits_for_nobody_who_saves_another(busy: Team) -> None:
    one, two = busy.prompt("one").prompt, busy.prompt("two").prompt
    with transaction.atomic():
        create_version(busy.actor("editor"), one, {**GREETING, "messages": said("not committed yet")})
        move_label(busy.actor("editor"), one, "production", one.versions.get(number=1))

        def other() -> Any:
            busy.prompt("three", by="reviewer")
            return create_version(busy.actor("reviewer"), two, {**GREETING, "messages": said("committed")})

        assert at_once([other])[0][1] is True


def test_of_movers_who_saw_the_same_one_moves(busy: Team) -> None:
    made = versions(busy, WRITERS + 1)
    prompt = made[0].prompt
    move_label(busy.actor("editor"), prompt, "production", made[0])
    outcomes = at_once(
        [
            lambda version=version: move_label(busy.actor("editor"), prompt, "production", version, expected=1)  # type: ignore[misc]
            for version in made[1:]
        ]
    )
    assert codes(outcomes) == ["label_moved"] * (WRITERS - 1)
    moved = next(one for one in outcomes if isinstance(one, LabelMove))
    assert Label.objects.get().version_id == moved.to_version_id
    assert LabelMove.objects.count() == 2


def test_a_first_release_by_several_is_one_label(busy: Team) -> None:
    made = versions(busy, WRITERS)
    outcomes = at_once(
        [
            lambda version=version: move_label(busy.actor("editor"), version.prompt, "canary", version, expected=0)  # type: ignore[misc]
            for version in made
        ]
    )
    assert codes(outcomes) == ["label_moved"] * (WRITERS - 1)
    assert Label.objects.count() == 1
    assert LabelMove.objects.count() == 1


def test_history_is_a_chain_whoever_moves_and_rolls_back_at_once(busy: Team) -> None:
    made = versions(busy, 4)
    prompt, editor = made[0].prompt, busy.actor("editor")
    for version in made[:2]:
        move_label(editor, prompt, "production", version)

    def mover(number: int) -> Callable[[], Any]:
        def moves() -> None:
            for step in range(6):
                move_label(editor, prompt, "production", made[(number + step) % 4])
                move_label(editor, prompt, "staging", made[step % 4])

        return moves

    def roller() -> None:
        for _step in range(6):
            rollback_label(editor, prompt, "production")

    def saver() -> None:
        for step in range(6):
            create_version(editor, prompt, {**GREETING, "messages": said(f"meanwhile {step}")})

    assert at_once([mover(0), mover(2), roller, roller, saver]) == [None] * 5
    for label in ("production", "staging"):
        moves = moves_in_order(label)
        assert [move.from_version for move in moves[1:]] == [move.to_version for move in moves[:-1]]
        assert [move.pk for move in moves] == sorted(move.pk for move in moves)
        assert Label.objects.get(name=label).version == moves[-1].to_version
    assert list(prompt.versions.order_by("number").values_list("number", flat=True)) == list(range(1, 11))
    assert verify(busy.project.pk).valid


def test_nobody_releases_a_prompt_that_is_just_being_archived(busy: Team) -> None:
    version = busy.prompt()
    archived = threading.Event()

    def archiving() -> None:
        with transaction.atomic():
            archive_prompt(busy.actor("editor"), version.prompt)
            archived.set()
            # The others have begun and wait for the row; whoever does not wait would be done by then.
            threading.Event().wait(0.3)

    def moving() -> Any:
        archived.wait(PATIENCE_SECONDS)
        return move_label(busy.actor("reviewer"), version.prompt, "production", version)

    def saving() -> Any:
        archived.wait(PATIENCE_SECONDS)
        return create_version(busy.actor("reviewer"), version.prompt, {**GREETING, "messages": said("late")})

    assert codes(at_once([archiving, moving, saving])) == ["archived", "archived"]
    assert LabelMove.objects.count() == 0
    assert PromptVersion.objects.count() == 1


def test_of_writers_of_one_draft_one_is_stored_and_the_others_keep_their_text(busy: Team) -> None:
    editor, prompt = busy.actor("editor"), busy.prompt().prompt
    save_draft(editor, open_draft(editor, prompt), revision=0, content={"messages": said("before")})

    def write(number: int) -> Any:
        draft = open_draft(editor, prompt)
        return save_draft(editor, draft, revision=1, content={"messages": said(f"writer {number}")})

    outcomes = at_once([lambda number=number: write(number) for number in range(WRITERS)])  # type: ignore[misc]
    stale = [one for one in outcomes if isinstance(one, StaleDraft)]
    stored = Draft.objects.get()
    assert (len(stale), stored.revision) == (WRITERS - 1, 2)
    kept = {one.extra["yours"]["content"]["messages"][0]["content"] for one in stale} | {text_of(stored)}
    assert kept == {f"writer {number}" for number in range(WRITERS)}
    assert {one.extra["stored"]["content"]["messages"][0]["content"] for one in stale} == {text_of(stored)}


def test_a_draft_begun_by_several_tabs_at_once_is_one_draft(busy: Team) -> None:
    editor, prompt = busy.actor("editor"), busy.prompt().prompt

    def begin(number: int) -> Any:
        draft = open_draft(editor, prompt)
        return save_draft(editor, draft, revision=0, content={"messages": said(f"tab {number}")})

    outcomes = at_once([lambda number=number: begin(number) for number in range(WRITERS)])  # type: ignore[misc]
    assert codes(outcomes) == ["stale_draft"] * (WRITERS - 1)
    assert Draft.objects.count() == 1


def test_a_draft_is_saved_as_one_version_however_often_the_button_is_pressed(busy: Team) -> None:
    editor, prompt = busy.actor("editor"), busy.prompt().prompt
    content = {**GREETING, "messages": said("ready")}
    draft = save_draft(editor, open_draft(editor, prompt), revision=0, content=content)
    outcomes = at_once([lambda: commit_draft(editor, draft, revision=1)] * WRITERS)
    assert codes(outcomes) == ["stale_draft"] * (WRITERS - 1)
    assert prompt.versions.count() == 2
    assert not Draft.objects.exists()


def test_a_draft_that_follows_a_version_takes_nobodys_text_with_it(busy: Team) -> None:
    editor, prompt = busy.actor("editor"), busy.prompt().prompt
    draft = save_draft(editor, open_draft(editor, prompt), revision=0, content={"messages": said("mine")})
    theirs, _created = create_version(busy.actor("reviewer"), prompt, {**GREETING, "messages": said("theirs")})
    save_draft(editor, open_draft(editor, prompt), revision=1, content={"messages": said("typed in the other tab")})

    with pytest.raises(StaleDraft) as stale:
        rebase_draft(editor, draft, onto=theirs, revision=1)
    assert stale.value.extra["stored"]["content"]["messages"] == said("typed in the other tab")
    followed = rebase_draft(editor, draft, onto=theirs, revision=2)
    assert (followed.revision, followed.base_version, text_of(followed)) == (3, theirs, "typed in the other tab")
    held = discard_draft(editor, draft)  # this tab had read an older text
    assert held["content"]["messages"] == said("typed in the other tab")


def test_of_prompts_created_at_once_with_one_slug_one_is_made(busy: Team) -> None:
    outcomes = at_once([lambda: create_prompt(busy.actor("editor"), busy.project, GREETING, slug="same")] * WRITERS)
    assert codes(outcomes) == ["slug_taken"] * (WRITERS - 1)
    assert Prompt.objects.count() == 1
    assert PromptVersion.objects.count() == 1


def test_a_slug_that_is_just_given_up_goes_to_nobody_else(busy: Team) -> None:
    prompt = busy.prompt("wanted").prompt

    def rename() -> Any:
        return update_prompt(busy.actor("editor"), prompt, slug="renamed")

    def create() -> Any:
        return create_prompt(busy.actor("reviewer"), busy.project, GREETING, slug="wanted")

    outcomes = at_once([rename, create, create, create])
    assert codes(outcomes) == ["slug_taken"] * 3
    assert Prompt.objects.get().slug == "renamed"
    assert PromptSlug.objects.get().slug == "wanted"


def test_a_slug_that_several_want_goes_to_one(busy: Team) -> None:
    prompts = [busy.prompt(f"prompt-{number}").prompt for number in range(WRITERS)]
    outcomes = at_once(
        [lambda prompt=prompt: update_prompt(busy.actor("editor"), prompt, slug="wanted") for prompt in prompts]  # type: ignore[misc]
    )
    assert codes(outcomes) == ["slug_taken"] * (WRITERS - 1)
    assert PromptSlug.objects.count() == 1
    assert all(isinstance(one, Conflict | Prompt) for one in outcomes)
