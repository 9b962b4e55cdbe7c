"""Versions: numbered, immutable, and never made for nothing."""

import threading
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from promptops.core.errors import Conflict, Forbidden, Invalid, NotFound
from promptops.prompts.content import closure_sha256
from promptops.prompts.models import Prompt, PromptVersion
from promptops.prompts.selectors import Moved, get_prompt, get_version, search_prompts, served
from promptops.prompts.services import archive_prompt, create_version, restore_prompt, update_prompt
from tests.people import GREETING, Team, make_team


def changed(text: str) -> dict[str, Any]:
    return {**GREETING, "messages": [{"role": "user", "content": text}]}


def test_each_save_is_a_new_numbered_version_with_its_parent(team: Team) -> None:
    first = team.prompt(message="begin")
    second, created = create_version(team.actor("reviewer"), first.prompt, changed("Hello {{ name }}"), message="why")

    assert created
    assert (second.number, second.parent, second.message, second.author) == (2, first, "why", team.reviewer)
    assert second.content["messages"] == [{"role": "user", "content": "Hello {{ name }}"}]
    assert second.closure_sha256 == closure_sha256(second.content_sha256) != second.content_sha256


def test_saving_what_did_not_change_makes_no_version(team: Team) -> None:
    first = team.prompt()
    same = {**GREETING, "parameters": {"temperature": 0.2}, "variables": {}, "output_schema": None}
    version, created = create_version(team.actor("editor"), first.prompt, same)

    assert (version, created) == (first, False)
    assert PromptVersion.objects.count() == 1


def test_going_back_to_an_older_text_is_a_new_version_of_the_same_spec(team: Team) -> None:
    first = team.prompt()
    create_version(team.actor("editor"), first.prompt, changed("other"))
    third, created = create_version(team.actor("editor"), first.prompt, GREETING)

    assert (created, third.number) == (True, 3)
    assert third.spec == first.spec


def test_who_began_from_an_older_version_is_told(team: Team) -> None:
    first = team.prompt()
    create_version(team.actor("editor"), first.prompt, changed("theirs"), expected_head=1)
    with pytest.raises(Conflict) as refused:
        create_version(team.actor("reviewer"), first.prompt, changed("mine"), expected_head=1)
    assert refused.value.code == "stale_version"
    assert refused.value.extra["newest"] == 2


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": "{{ open"}]}, "messages.0.content"),
        (
            {"messages": [{"role": "user", "content": "fine"}, {"role": "user", "content": "{% for %}"}]},
            "messages.1.content",
        ),
        ({"syntax": "erb"}, "syntax"),
        ({"kind": "text", "messages": [{"content": "Hello"}]}, "kind"),
    ],
)
def test_a_malformed_prompt_is_refused_with_its_place(team: Team, given: dict[str, Any], path: str) -> None:
    first = team.prompt()
    with pytest.raises(Invalid) as refused:
        create_version(team.actor("editor"), first.prompt, {**GREETING, **given})
    assert any(found.startswith(path) for found in refused.value.errors), refused.value.errors


@pytest.mark.parametrize("table", ["prompts_promptversion", "prompts_promptspec"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_the_database_refuses_to_change_a_version(team: Team, table: str, statement: str) -> None:
    team.prompt()
    with pytest.raises(DatabaseError, match="never change"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(table))


@pytest.mark.django_db(transaction=True)
def test_writers_at_the_same_time_get_numbers_without_gaps() -> None:
    team = make_team()
    prompt = team.prompt().prompt

    def save(text: str) -> None:
        create_version(team.actor("editor"), prompt, changed(text))
        connection.close()

    writers = [threading.Thread(target=save, args=[f"text {number}"]) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    numbers = list(PromptVersion.objects.filter(prompt=prompt).order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, 10))


def test_viewers_read_and_outsiders_find_nothing(team: Team) -> None:
    first = team.prompt()
    with pytest.raises(Forbidden):
        create_version(team.actor("viewer"), first.prompt, changed("x"))
    with pytest.raises(NotFound):
        create_version(team.actor("outsider"), first.prompt, changed("x"))


def test_resolve_means_production_and_never_falls_back(team: Team) -> None:
    first = team.prompt()
    with pytest.raises(NotFound):
        served(team.project, "greeting")
    assert served(team.project, "greeting", label="latest")["version"] == 1
    assert served(team.project, "greeting", number=1)["sha256"] == first.content_sha256
    with pytest.raises(NotFound):
        get_version(first.prompt, number=2)
    with pytest.raises(Invalid):
        get_version(first.prompt, number=1, label="latest")


def test_an_archived_prompt_is_not_served_and_comes_back(team: Team) -> None:
    prompt = archive_prompt(team.actor("editor"), team.prompt().prompt)
    with pytest.raises(NotFound, match="archived"):
        served(team.project, "greeting", label="latest")
    with pytest.raises(Conflict):
        create_version(team.actor("editor"), prompt, changed("x"))

    restore_prompt(team.actor("editor"), prompt)
    assert served(team.project, "greeting", label="latest")["version"] == 1


def test_a_renamed_prompt_answers_by_its_old_name_with_the_new_one(team: Team) -> None:
    prompt = team.prompt().prompt
    update_prompt(team.actor("editor"), prompt, slug="hello")
    update_prompt(team.actor("editor"), prompt, slug="welcome")

    for old in ("greeting", "hello"):
        with pytest.raises(Moved) as moved:
            get_prompt(team.project, old)
        assert moved.value.slug == "welcome"
    with pytest.raises(Conflict):
        team.prompt("greeting")
    update_prompt(team.actor("editor"), prompt, slug="greeting")
    assert get_prompt(team.project, "greeting") == prompt
    with pytest.raises(Moved):
        get_prompt(team.project, "welcome")


@pytest.mark.parametrize(
    ("query", "finds"),
    [
        ("摘要", {"zh"}),
        ("customer", {"en"}),
        ("ustome", {"en"}),
        ("Kundengespräch", {"de"}),
        ("100%", {"en"}),
        ("nothing like it", set()),
        ("a'b\"c\\", set()),
        ("", {"zh", "en", "de"}),
    ],
)
def test_search_finds_words_and_parts_in_any_language(team: Team, query: str, finds: set[str]) -> None:
    team.prompt("zh", **changed("请写一份简短的客户对话摘要：{{ text }}"))
    team.prompt("en", **changed("Summarise the customer conversation, 100% of it: {{ text }}"))
    team.prompt("de", **changed("Fasse das Kundengespräch zusammen: {{ text }}"))

    assert set(search_prompts(team.project, text=query).values_list("slug", flat=True)) == finds


def test_search_by_folder_takes_what_lies_below_and_nothing_beside(team: Team) -> None:
    team.prompt("one", folder="support")
    team.prompt("two", folder="/support/email/", tags=["live"])
    team.prompt("three", folder="supporters")

    slugs = search_prompts(team.project, folder="support").values_list("slug", flat=True)
    assert set(slugs) == {"one", "two"}
    assert [prompt.slug for prompt in search_prompts(team.project, tag="live")] == ["two"]
    assert Prompt.objects.get(slug="two").folder == "support/email"
