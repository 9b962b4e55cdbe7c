"""Prompts that include others: what is refused at saving, at moving labels and at archiving, and what is served."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promptops.accounts.models import Project
from promptops.core.errors import Conflict, Invalid
from promptops.prompts.content import closure_sha256
from promptops.prompts.dependents import dependents_of
from promptops.prompts.models import Label, LabelMove, Prompt, PromptDependency, PromptVersion
from promptops.prompts.selectors import resolved_closure, served
from promptops.prompts.services import (
    archive_prompt,
    create_prompt,
    create_version,
    move_label,
    remove_label,
    restore_prompt,
    rollback_label,
    update_prompt,
)
from tests.people import Team, make_team


def snippet(content: str, syntax: str = "jinja", **more: Any) -> dict[str, Any]:
    return {"kind": "text", "syntax": syntax, "messages": [{"content": content}], **more}


def chat(content: str, **more: Any) -> dict[str, Any]:
    return {"kind": "chat", "syntax": "jinja", "messages": [{"role": "user", "content": content}], **more}


def include(*names: str) -> str:
    return "".join(f'{{% include "{name}" %}}' for name in names)


def make(
    team: Team, slug: str, content: dict[str, Any], *, live: bool = True, project: Project | None = None
) -> Prompt:
    actor = team.actor("editor") if project is None else team.actor("outsider")
    version = create_prompt(actor, project or team.project, content, slug=slug)
    if live:
        move_label(actor, version.prompt, "production", version)
    return version.prompt


def save(team: Team, prompt: Prompt, content: dict[str, Any]) -> PromptVersion:
    return create_version(team.actor("editor"), prompt, content)[0]


def release(team: Team, version: PromptVersion, label: str = "production") -> LabelMove | None:
    return move_label(team.actor("editor"), version.prompt, label, version)


def text_of(team: Team, slug: str, **asked: Any) -> str:
    content = served(team.project, slug, **asked)["messages"][0]["content"]
    assert isinstance(content, str)
    return content


def test_what_is_served_has_the_included_texts_in_it(team: Team) -> None:
    make(team, "greeting", snippet("Dear {{ name }},"))
    make(team, "reply", chat(f"{include('greeting@production')} thank you."))

    answer = served(team.project, "reply")
    assert answer["messages"] == [{"role": "user", "content": "Dear {{ name }}, thank you."}]
    assert answer["includes"] == [
        {"reference": "greeting@production", "prompt": "greeting", "version": 1, "label": "production"}
    ]
    assert text_of(team, "reply", resolved=False) == f"{include('greeting@production')} thank you."


def test_a_label_that_moves_changes_what_includes_it_and_a_number_does_not(team: Team) -> None:
    greeting = make(team, "greeting", snippet("Dear"))
    reply = make(team, "reply", chat(include("greeting@production", "greeting@1")))
    version = PromptVersion.objects.get(prompt=reply)
    before = served(team.project, "reply", resolved=False)
    assert version.closure_sha256 == resolved_closure(version) == before["closure_sha256"]

    release(team, save(team, greeting, snippet("Hello")))

    assert text_of(team, "reply") == "HelloDear"
    after = served(team.project, "reply", resolved=False)
    assert after["messages"] == before["messages"]
    assert after["sha256"] == before["sha256"]
    assert after["closure_sha256"] == resolved_closure(version) != version.closure_sha256


def test_the_closure_hash_is_over_the_content_and_the_closures_of_what_it_includes(team: Team) -> None:
    leaf = PromptVersion.objects.get(prompt=make(team, "leaf", snippet("leaf")))
    middle = PromptVersion.objects.get(prompt=make(team, "middle", snippet(include("leaf@1"))))
    top = PromptVersion.objects.get(prompt=make(team, "top", chat(include("middle@production", "leaf@1"))))

    assert leaf.closure_sha256 == closure_sha256(leaf.content_sha256)
    assert middle.closure_sha256 == closure_sha256(middle.content_sha256, includes=[leaf.closure_sha256])
    assert top.closure_sha256 == closure_sha256(
        top.content_sha256, includes=[middle.closure_sha256, leaf.closure_sha256]
    )


def test_a_move_keeps_the_closure_that_went_live(team: Team) -> None:
    greeting = make(team, "greeting", snippet("Dear"))
    reply = make(team, "reply", chat(include("greeting@production")), live=False)
    version = PromptVersion.objects.get(prompt=reply)
    release(team, save(team, greeting, snippet("Hello")))
    move = release(team, version)

    assert move is not None
    assert move.closure_sha256 == resolved_closure(version) != version.closure_sha256


def test_dependencies_are_written_with_the_version_and_never_change(team: Team) -> None:
    greeting = make(team, "greeting", snippet("Dear"))
    first = PromptVersion.objects.get(prompt=greeting)
    reply = make(team, "reply", chat(include("greeting@1", "greeting@production", "greeting@1")))
    rows = PromptDependency.objects.filter(version__prompt=reply).order_by("order")

    assert [(row.included, row.included_version, row.label) for row in rows] == [
        (greeting, first, ""),
        (greeting, None, "production"),
    ]
    for statement in ("UPDATE prompts_promptdependency SET id = id", "DELETE FROM prompts_promptdependency"):
        with pytest.raises(DatabaseError, match="never change"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_the_database_refuses_an_include_across_projects(team: Team) -> None:
    theirs = make(team, "theirs", snippet("x"), project=team.elsewhere)
    ours = PromptVersion.objects.get(prompt=make(team, "ours", chat("x")))
    with pytest.raises(DatabaseError, match="own project"), transaction.atomic():
        PromptDependency.objects.create(version=ours, order=0, included=theirs, label="production")


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("nobody@production", "no prompt “nobody”"),
        ("theirs@production", "no prompt “theirs”"),
        ("greeting@staging", "has the label “staging”"),
        ("greeting@7", "no version 7"),
        ("old@1", "“old” is archived"),
        ("stache@1", "written in mustache"),
        ("talk@1", "is a chat prompt"),
    ],
)
def test_an_include_that_cannot_be_put_in_is_refused_at_its_place(team: Team, reference: str, says: str) -> None:
    make(team, "theirs", snippet("secret"), project=team.elsewhere)
    make(team, "greeting", snippet("Dear"))
    make(team, "stache", snippet("Dear", "mustache"))
    make(team, "talk", chat("Dear"))
    archive_prompt(team.actor("editor"), make(team, "old", snippet("Dear")))
    content = chat("fine")
    content["messages"].append({"role": "user", "content": f"first line\n{include(reference)}"})

    with pytest.raises(Invalid) as refused:
        create_prompt(team.actor("editor"), team.project, content, slug="reply")
    assert refused.value.code == "include"
    [(path, [text])] = refused.value.errors.items()
    assert path == "messages.1.content"
    assert says in text
    assert "line 2" in text
    assert not Prompt.objects.filter(slug="reply").exists()


def test_a_former_slug_goes_on_to_include_the_renamed_prompt(team: Team) -> None:
    greeting = make(team, "greeting", snippet("Dear"))
    make(team, "reply", chat(include("greeting@production")))
    update_prompt(team.actor("editor"), greeting, slug="salutation")

    answer = served(team.project, "reply")
    assert answer["messages"][0]["content"] == "Dear"
    assert answer["includes"][0]["prompt"] == "salutation"


def test_a_prompt_does_not_include_itself_whatever_the_version(team: Team) -> None:
    a = make(team, "a", snippet("x"))
    make(team, "b", snippet(include("a@1")))
    with pytest.raises(Invalid) as direct:
        save(team, a, snippet(include("a@1")))
    assert "a → a@1" in str(direct.value.errors)
    with pytest.raises(Invalid) as indirect:
        save(team, a, snippet("one\n" + include("b@production")))
    assert "a → b@production → a@1" in str(indirect.value.errors)
    assert "line 2" in str(indirect.value.errors)


def test_a_move_that_would_close_a_cycle_is_refused_with_the_way(team: Team) -> None:
    a = make(team, "a", snippet("x"))
    b = make(team, "b", snippet("y"))
    second_a = save(team, a, snippet(include("b@production")))
    second_b = save(team, b, snippet(include("a@production")))
    release(team, second_a)

    with pytest.raises(Conflict) as refused:
        release(team, second_b)
    assert refused.value.code == "include_broken"
    assert "a@production → b@production → a@production" in refused.value.detail
    assert Label.objects.get(prompt=b).version != second_b
    assert text_of(team, "a") == "y"


def test_a_move_that_would_break_what_is_live_is_refused_and_names_it(team: Team) -> None:
    greeting = make(team, "greeting", snippet("Dear"))
    make(team, "middle", snippet(include("greeting@production")))
    make(team, "reply", chat(include("middle@production")))
    other = save(team, greeting, snippet("Dear", "mustache"))

    with pytest.raises(Conflict, match=r"“middle@production”.*written in mustache"):
        release(team, other)
    assert text_of(team, "reply") == "Dear"
    with pytest.raises(Conflict, match="has the label “production”"):
        remove_label(team.actor("editor"), greeting, "production")
    with pytest.raises(Conflict, match="is archived"):
        archive_prompt(team.actor("editor"), greeting)
    greeting.refresh_from_db()
    assert greeting.archived_at is None
    assert text_of(team, "reply") == "Dear"


def test_a_rollback_is_checked_like_any_move(team: Team) -> None:
    greeting = make(team, "greeting", snippet("Dear", "mustache"))
    release(team, save(team, greeting, snippet("Hello")))
    make(team, "reply", chat(include("greeting@production")))
    with pytest.raises(Conflict, match="written in mustache"):
        rollback_label(team.actor("editor"), greeting, "production")


def test_what_nobody_released_may_break_and_says_so_when_it_is_asked_for(team: Team) -> None:
    greeting = make(team, "greeting", snippet("Dear"))
    reply = make(team, "reply", chat(include("greeting@production")), live=False)
    remove_label(team.actor("editor"), greeting, "production")

    with pytest.raises(Conflict, match="has the label “production”") as refused:
        served(team.project, "reply", number=1)
    assert refused.value.code == "include_broken"
    with pytest.raises(Conflict, match="has the label “production”"):
        release(team, PromptVersion.objects.get(prompt=reply))

    archive_prompt(team.actor("editor"), greeting)
    with pytest.raises(Conflict, match="“greeting” is archived"):
        served(team.project, "reply", number=1)
    restore_prompt(team.actor("editor"), greeting)
    rollback_label(team.actor("editor"), greeting, "production")
    assert text_of(team, "reply", number=1) == "Dear"


def test_a_chain_of_ten_is_saved_and_of_eleven_is_not(team: Team) -> None:
    make(team, "x10", snippet("end"))
    for number in range(9, 0, -1):
        make(team, f"x{number}", snippet(include(f"x{number + 1}@production")))
    make(team, "top", chat(include("x1@production")))
    assert text_of(team, "top") == "end"

    make(team, "x11", snippet("further"))
    longer = save(team, Prompt.objects.get(slug="x10"), snippet(include("x11@1")))
    with pytest.raises(Conflict, match="nested deeper than 10"):
        release(team, longer)
    assert text_of(team, "top") == "end"


def test_dependents_are_found_through_others_while_labels_lead_to_them(team: Team) -> None:
    greeting = make(team, "greeting", snippet("Dear"))
    middle = make(team, "middle", snippet(include("greeting@production", "greeting@1")))
    make(team, "reply", chat(include("middle@production")))
    make(team, "draft-only", chat(include("greeting@1")), live=False)
    archive_prompt(team.actor("editor"), make(team, "gone", chat(include("greeting@1")), live=False))

    found = [(one.version.prompt.slug, one.depth, one.labels, one.references) for one in dependents_of(greeting)]
    assert found == [
        ("draft-only", 1, [], ["greeting@1"]),
        ("middle", 1, ["production"], ["greeting@production", "greeting@1"]),
        ("reply", 2, ["production"], []),
    ]
    by_label = [one.version.prompt.slug for one in dependents_of(greeting, label="production")]
    assert by_label == ["middle", "reply"]

    # The new version of the middle includes it no more, and production is the way from there to the reply.
    release(team, save(team, middle, snippet("Hello")))
    assert [one.version.prompt.slug for one in dependents_of(greeting)] == ["draft-only"]


@pytest.mark.django_db(transaction=True)
def test_two_moves_at_the_same_moment_never_close_a_cycle() -> None:
    team = make_team()
    for attempt in range(5):
        a = make(team, f"a{attempt}", snippet("x"))
        b = make(team, f"b{attempt}", snippet("y"))
        versions = [
            save(team, a, snippet(include(f"b{attempt}@production"))),
            save(team, b, snippet(include(f"a{attempt}@production"))),
        ]
        barrier = threading.Barrier(2)
        outcomes: list[Any] = []

        def move(version: PromptVersion, barrier: threading.Barrier = barrier, outcomes: list[Any] = outcomes) -> None:
            barrier.wait()
            try:
                outcomes.append(release(team, version))
            except Conflict as refused:
                outcomes.append(refused.code)
            connection.close()

        movers = [threading.Thread(target=move, args=[version]) for version in versions]
        for mover in movers:
            mover.start()
        for mover in movers:
            mover.join()
        assert outcomes.count("include_broken") == 1, outcomes
        for slug in (f"a{attempt}", f"b{attempt}"):
            assert text_of(team, slug) in ("x", "y")


@pytest.mark.django_db(transaction=True)
def test_saving_and_taking_a_label_off_at_the_same_moment_leaves_no_live_prompt_broken() -> None:
    team = make_team()
    greeting = make(team, "greeting", snippet("Dear"))
    version = PromptVersion.objects.get(prompt=make(team, "reply", chat(include("greeting@production")), live=False))
    barrier = threading.Barrier(2)

    def attempt(what: Any) -> None:
        barrier.wait()
        try:
            what()
        except Conflict:
            pass
        finally:
            connection.close()

    for _ in range(5):
        movers = [
            threading.Thread(target=attempt, args=[lambda: release(team, version)]),
            threading.Thread(target=attempt, args=[lambda: remove_label(team.actor("editor"), greeting, "production")]),
        ]
        for mover in movers:
            mover.start()
        for mover in movers:
            mover.join()
        if Label.objects.filter(prompt=version.prompt, version__isnull=False).exists():
            assert text_of(team, "reply") == "Dear"
            remove_label(team.actor("editor"), version.prompt, "production")
        if not Label.objects.filter(prompt=greeting, version__isnull=False).exists():
            rollback_label(team.actor("editor"), greeting, "production")


SLUGS = ("a", "b", "c", "d")
STEP = st.tuples(
    st.sampled_from(SLUGS),
    st.lists(st.tuples(st.sampled_from(SLUGS), st.sampled_from(["production", "staging", "1", "2"])), max_size=3),
    st.sampled_from(["production", "staging"]),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=4, max_size=12))
def test_whatever_is_saved_and_moved_what_is_live_can_be_put_together(team: Team, steps: list[Any]) -> None:
    with transaction.atomic():
        prompts = {slug: make(team, slug, snippet(slug)) for slug in SLUGS}
        for slug, names, label in steps:
            try:
                version = save(team, prompts[slug], snippet(slug + include(*(f"{one}@{at}" for one, at in names))))
            except Invalid as refused:
                if refused.code != "include":
                    raise
                continue
            try:
                release(team, version, label)
            except Conflict as refused:
                if refused.code != "include_broken":
                    raise
            for live in Label.objects.filter(project=team.project, version__isnull=False).select_related("prompt"):
                assert text_of(team, live.prompt.slug, label=live.name).startswith(live.prompt.slug)
        transaction.set_rollback(True)
