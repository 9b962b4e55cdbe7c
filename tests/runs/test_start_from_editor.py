"""Running from the editor: which version a run is of, what is refused, and the panel that comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from promptops.core.streaming import STREAM_HEADER
from promptops.prompts.services import create_version, open_draft, save_draft
from promptops.runs.models import Priority, Run, Worker
from promptops.runs.selectors import payload_of
from tests.html import HTMX
from tests.people import GREETING, Team
from tests.runs.pages import form_of, scripted_endpoint, start, work


@pytest.fixture
def editor(client: Client, team: Team) -> Client:
    scripted_endpoint(team)
    client.force_login(team.editor)
    return client


def url(team: Team, name: str, *args: Any) -> str:
    return reverse(f"runs:{name}", args=[team.project.slug, *args])


def post(client: Client, team: Team, fields: dict[str, Any]) -> Any:
    return client.post(url(team, "start"), fields, headers=HTMX)


def changed(version: Any, text: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return form_of(version, messages=json.dumps(messages))


def test_it_runs_the_newest_version_where_the_text_is_unchanged(editor: Client, team: Team) -> None:
    version = team.prompt()

    answer = post(editor, team, form_of(version))

    assert answer.status_code == 200
    run = Run.objects.get()
    assert run.version == version
    assert run.priority == Priority.INTERACTIVE
    assert run.actor_user == team.editor
    text = answer.content.decode()
    assert 'data-component="run-stream"' in text
    assert f"{url(team, 'stream')}?run={run.pk}" in text
    assert f'data-run="{run.pk}"' in text


def test_it_runs_the_draft_where_the_text_differs(editor: Client, team: Team) -> None:
    version = team.prompt()

    post(editor, team, changed(version, "Praise {{ name }}."))

    run = Run.objects.get()
    assert run.version is None
    assert run.prompt == version.prompt
    assert payload_of(run).messages == [{"role": "user", "content": "Praise Ada."}]


def test_it_runs_the_version_that_the_draft_began_with(editor: Client, team: Team) -> None:
    first = team.prompt()
    draft = open_draft(team.actor("editor"), first.prompt)
    save_draft(team.actor("editor"), draft, revision=0, content=first.content)
    messages = [{"role": "user", "content": "Other {{ name }}"}]
    create_version(team.actor("owner"), first.prompt, {**GREETING, "messages": messages})

    post(editor, team, form_of(first))

    assert Run.objects.get().version == first


def test_it_runs_a_saved_version_by_its_number(editor: Client, team: Team) -> None:
    first = team.prompt()
    messages = [{"role": "user", "content": "Other {{ name }}"}]
    create_version(team.actor("editor"), first.prompt, {**GREETING, "messages": messages})

    post(editor, team, changed(first, "typed, but not asked for") | {"version": "1"})

    assert Run.objects.get().version == first


def test_it_runs_a_prompt_that_was_never_saved(editor: Client, team: Team) -> None:
    version = team.prompt()

    post(editor, team, changed(version, "New: {{ name }}") | {"prompt": ""})

    run = Run.objects.get()
    assert run.prompt is None
    assert run.version is None


def test_it_names_the_variable_that_is_missing(editor: Client, team: Team) -> None:
    answer = post(editor, team, form_of(team.prompt(), values="{}"))

    assert answer.status_code == 422
    assert "Variable “name”" in answer.content.decode()
    assert not Run.objects.exists()


def test_it_names_the_message_that_does_not_parse(editor: Client, team: Team) -> None:
    answer = post(editor, team, changed(team.prompt(), "Hello {{ name"))

    assert answer.status_code == 422
    assert "Message 1" in answer.content.decode()


def test_it_refuses_a_schema_that_is_no_json_rather_than_leaving_it_out(editor: Client, team: Team) -> None:
    answer = post(editor, team, form_of(team.prompt(), output_schema='{"type":'))

    assert answer.status_code == 422
    assert "Output schema" in answer.content.decode()
    assert not Run.objects.exists()


def test_it_says_that_an_endpoint_is_gone(editor: Client, team: Team) -> None:
    answer = post(editor, team, form_of(team.prompt(), endpoint="gone"))

    assert answer.status_code == 422
    assert "no model endpoint “gone”" in answer.content.decode()


def test_it_lets_no_viewer_run(client: Client, team: Team) -> None:
    scripted_endpoint(team)
    client.force_login(team.viewer)

    assert post(client, team, form_of(team.prompt())).status_code == 403
    assert not Run.objects.exists()


def test_it_says_so_when_no_worker_is_there(editor: Client, team: Team) -> None:
    answer = post(editor, team, form_of(team.prompt()))

    assert "No worker serves the queue “api”" in answer.content.decode()


def test_it_shows_what_the_worker_is_busy_with(editor: Client, team: Team) -> None:
    Worker.objects.create(name="api@here:1", queue="api", seen_at=timezone.now(), note="loading the model")
    team.prompt()
    run = start(team)

    answer = editor.get(url(team, "panel", run.pk) + "?part=note", headers=HTMX)

    assert answer.status_code == 200
    assert "loading the model" in answer.content.decode()


def test_it_ends_the_questions_about_a_run_that_has_ended(editor: Client, team: Team) -> None:
    team.prompt()
    run = start(team)
    work()

    assert editor.get(url(team, "panel", run.pk) + "?part=note", headers=HTMX).status_code == 286


def test_it_shows_the_outcome_in_the_panel(editor: Client, team: Team) -> None:
    team.prompt()
    run = start(team)
    work()

    text = editor.get(url(team, "panel", run.pk), headers=HTMX).content.decode()

    assert "[You are polite.] Greet Ada in one sentence." in text
    assert 'data-status="succeeded"' in text
    assert url(team, "detail", run.pk) in text
    assert url(team, "cancel", run.pk) not in text


def test_it_says_what_to_do_about_a_failure(editor: Client, team: Team) -> None:
    team.prompt()
    scripted_endpoint(team, "scripted?error=authentication&message=Wrong+key.", slug="locked")
    run = start(team, endpoint="locked")
    work()

    text = editor.get(url(team, "panel", run.pk), headers=HTMX).content.decode()

    assert "Wrong key." in text
    assert "Have an admin replace the key" in text


def test_it_comes_back_to_the_run_of_a_moment_ago(editor: Client, team: Team) -> None:
    team.prompt()
    mine = start(team, priority=Priority.INTERACTIVE)
    start(team, by="owner", priority=Priority.INTERACTIVE)
    start(team)  # by REST

    text = editor.get(url(team, "recent-panel") + "?prompt=greeting", headers=HTMX).content.decode()

    assert f'data-run="{mine.pk}"' in text
    assert text.count("data-run=") == 1


def test_it_says_how_to_begin_where_nothing_ran(editor: Client, team: Team) -> None:
    team.prompt()

    answer = editor.get(url(team, "recent-panel") + "?prompt=greeting", headers=HTMX)

    assert "Nothing has run here in the last hour" in answer.content.decode()


def test_it_streams_runs_of_the_project_to_its_members_only(editor: Client, team: Team) -> None:
    team.prompt()
    run = start(team)
    stream = f"{url(team, 'stream')}?run={run.pk}"

    answer = editor.get(stream)

    assert answer["Content-Type"] == "text/event-stream"
    assert json.loads(answer[STREAM_HEADER]) == [f"run:{run.pk}:events"]
    editor.force_login(team.outsider)
    assert editor.get(stream).status_code == 404
    elsewhere = reverse("runs:stream", args=[team.elsewhere.slug])
    assert editor.get(f"{elsewhere}?run={run.pk}").status_code == 404


def test_it_cancels_a_queued_run_at_once(editor: Client, team: Team) -> None:
    team.prompt()
    run = start(team)

    answer = editor.post(url(team, "cancel", run.pk), headers=HTMX)

    assert answer.status_code == 204
    told = json.loads(answer["HX-Trigger"])["run:ended"]
    assert told == {"run": str(run.pk), "status": "cancelled"}
    run.refresh_from_db()
    assert run.status == "cancelled"


def test_it_lets_no_viewer_cancel(client: Client, team: Team) -> None:
    scripted_endpoint(team)
    team.prompt()
    run = start(team)
    client.force_login(team.viewer)

    assert client.post(url(team, "cancel", run.pk), headers=HTMX).status_code == 403
    run.refresh_from_db()
    assert run.status == "queued"
