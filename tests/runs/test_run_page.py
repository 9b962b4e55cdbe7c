"""The page of a run: what it shows of success and failure, its lineage, and what can be done from it."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from promptops.prompts.models import Draft
from promptops.prompts.services import create_version, move_label
from promptops.runs.lineage import lineage_of
from promptops.runs.models import Run, Worker
from promptops.runs.selectors import get_run, payload_of
from promptops.runs.services import replay_run, start_batch, start_draft_run, version_target
from promptops.runs.targets import RunRequest
from tests.html import HTMX
from tests.people import GREETING, Team
from tests.runs.pages import scripted_endpoint, start, work


def url(team: Team, name: str, run: Run) -> str:
    return reverse(f"runs:{name}", args=[team.project.slug, run.pk])


def page(client: Client, team: Team, run: Run, **headers: Any) -> str:
    answer = client.get(url(team, "detail", run), **headers)
    assert answer.status_code == 200
    return answer.content.decode()


def names(graph: dict[str, Any]) -> list[tuple[str, str]]:
    return [(node["kind"], node["label"]) for node in graph["nodes"]]


def test_it_shows_what_went_in_and_what_came_out(editor: Client, team: Team) -> None:
    scripted_endpoint(team, slug="priced", price={"input_price": "1000", "output_price": "2000"})
    run = start(team, endpoint="priced", metadata={"ticket": "T-17"})
    work()

    text = page(editor, team, run)

    assert "[You are polite.] Greet Ada in one sentence." in text
    assert "You are polite." in text
    assert "<dt><code>name</code></dt><dd>Ada</dd>" in text
    assert "<dt><code>temperature</code></dt>" in text
    assert "<dt><code>ticket</code></dt><dd>T-17</dd>" in text
    run.refresh_from_db()
    assert f"{run.input_tokens} → {run.output_tokens}" in text
    assert run.cost_usd is not None
    assert f"${run.cost_usd:.3f}".rstrip("0") in text
    assert run.response_id in text
    assert run.spec.sha256 in text


def test_it_shows_an_unknown_cost_as_unknown(editor: Client, team: Team) -> None:
    run = start(team)
    work()

    text = page(editor, team, run)

    assert "Not known: the endpoint has no price." in text
    assert "$0" not in text


def test_it_marks_what_was_counted_here(editor: Client, team: Team) -> None:
    price = {"input_price": "1", "output_price": "2"}
    scripted_endpoint(team, "scripted?usage=none", slug="uncounted", price=price)
    run = start(team, endpoint="uncounted")
    work()

    text = page(editor, team, run)

    assert '<span title="Estimated">≈ </span>' in text
    assert "≈ $" in text


def test_it_lays_out_json(editor: Client, team: Team) -> None:
    scripted_endpoint(team, 'scripted?text={"label":"positive"}', slug="json")
    run = start(team, endpoint="json")
    work()

    text = page(editor, team, run)

    assert "{\n  &quot;label&quot;: &quot;positive&quot;\n}" in text
    assert "{&quot;label&quot;:&quot;positive&quot;}" in text


def test_it_tells_every_attempt_and_what_to_do(editor: Client, team: Team) -> None:
    scripted_endpoint(team, "scripted?error=context_length&message=Too+long.", slug="short")
    run = start(team, endpoint="short")
    work()

    text = page(editor, team, run)

    assert "Too long." in text
    assert "Shorten the prompt or its variables" in text
    assert "<code>context_length</code>" in text
    assert "No text came." in text


def test_it_keeps_the_part_that_had_come(editor: Client, team: Team) -> None:
    scripted_endpoint(team, "scripted?error=content_filter&after=3", slug="cut")
    run = start(team, endpoint="cut")
    work()

    text = page(editor, team, run)

    assert "[You are polite.]" in text
    assert "this is what had come when the call failed" in text


def test_it_streams_while_the_run_has_not_ended(editor: Client, team: Team) -> None:
    Worker.objects.create(name="api@here:1", queue="api", seen_at=timezone.now())
    run = start(team)

    text = page(editor, team, run)

    assert f'data-url="{reverse("runs:stream", args=[team.project.slug])}?run={run.pk}"' in text
    assert f'data-result-url="{url(team, "detail", run)}" data-result-target="#run-body"' in text
    assert url(team, "cancel", run) in text
    assert "Waiting for a free worker." in text


def test_it_sends_htmx_the_body_alone(editor: Client, team: Team) -> None:
    run = start(team)
    work()

    text = page(editor, team, run, headers=HTMX)

    assert text.strip().startswith('<div class="stack-lg" id="run-body">')
    assert "<html" not in text


def test_it_shows_no_buttons_to_a_viewer(editor: Client, team: Team) -> None:
    run = start(team)
    editor.force_login(team.viewer)

    text = page(editor, team, run)

    assert url(team, "replay", run) not in text
    assert url(team, "cancel", run) not in text
    assert url(team, "edit-from", run) not in text


def test_it_is_not_there_for_others(editor: Client, team: Team) -> None:
    run = start(team)
    editor.force_login(team.outsider)

    assert editor.get(url(team, "detail", run)).status_code == 404
    assert editor.get(reverse("runs:detail", args=[team.elsewhere.slug, run.pk])).status_code == 404


def test_it_runs_the_same_again(editor: Client, team: Team) -> None:
    run = start(team, metadata={"ticket": "T-17"})
    work()

    answer = editor.post(url(team, "replay", run))

    again = Run.objects.exclude(pk=run.pk).get()
    assert answer["Location"] == url(team, "detail", again)
    assert (again.spec, again.endpoint, again.version) == (run.spec, run.endpoint, run.version)
    assert payload_of(again).messages == payload_of(run).messages
    assert again.metadata == {"ticket": "T-17", "replay_of": str(run.pk)}


def test_it_runs_the_same_on_another_model(editor: Client, team: Team) -> None:
    other = scripted_endpoint(team, slug="other")
    run = start(team)

    editor.post(url(team, "replay", run), {"endpoint": "other"})

    assert Run.objects.exclude(pk=run.pk).get().endpoint == other


def test_it_says_why_it_cannot_run_again(editor: Client, team: Team) -> None:
    from promptops.catalog.services import archive_endpoint

    run = start(team)
    archive_endpoint(team.actor("admin"), run.endpoint)

    answer = editor.post(url(team, "replay", run), follow=True)

    assert "This model endpoint is archived." in answer.content.decode()
    assert Run.objects.count() == 1


def test_it_opens_what_ran_in_the_editor(editor: Client, team: Team) -> None:
    run = start(team)
    changed = {**GREETING, "messages": [{"role": "user", "content": "Newer {{ name }}"}]}
    assert run.prompt is not None
    create_version(team.actor("owner"), run.prompt, changed)

    answer = editor.post(url(team, "edit-from", run))

    assert answer["Location"] == reverse("prompts:detail", args=[team.project.slug, "greeting"])
    assert Draft.objects.get(owner=team.editor).content["messages"] == GREETING["messages"]


def test_it_offers_the_call_that_repeats_it(editor: Client, team: Team) -> None:
    run = start(team, variables={"name": 'Ada\'s "friend" \\'})
    work()

    answer = editor.get(url(team, "detail", run))
    snippets = {snippet["id"]: snippet["text"] for snippet in answer.context["snippets"]}

    import shlex

    words = shlex.split(snippets["again"].replace("\\\n", " "))
    body = json.loads(words[words.index("-d") + 1])
    assert body["prompt"] == "greeting"
    assert body["version"] == 1
    assert body["endpoint"] == "scripted"
    assert body["variables"] == {"name": 'Ada\'s "friend" \\'}
    compile(snippets["python"], "python", "exec")
    assert f"/api/v1/runs/{run.pk}" in snippets["read"]


def test_its_lineage_leads_from_the_prompt_to_the_run(team: Team) -> None:
    scripted_endpoint(team)
    version = team.prompt()
    move_label(team.actor("owner"), version.prompt, "production", version)
    run = get_run(team.project, start(team, label="production").pk)

    graph = lineage_of(run, payload_of(run))

    assert names(graph) == [
        ("prompt", "greeting"),
        ("version", "version 1"),
        ("label", "production"),
        ("endpoint", "Scripted"),
        ("run", f"…{str(run.pk)[-8:]}"),
    ]
    edges = {(edge["from"], edge["to"]) for edge in graph["edges"]}
    assert edges == {
        ("prompt", "version"),
        ("version", "label-production"),
        ("label-production", "run"),
        ("endpoint", "run"),
    }


def test_its_lineage_shows_the_labels_of_then_and_not_of_now(team: Team) -> None:
    scripted_endpoint(team)
    first = team.prompt()
    move_label(team.actor("owner"), first.prompt, "production", first)
    run = start(team)
    changed = {**GREETING, "messages": [{"role": "user", "content": "Newer {{ name }}"}]}
    second, _ = create_version(team.actor("owner"), first.prompt, changed)
    move_label(team.actor("owner"), first.prompt, "production", second)
    move_label(team.actor("owner"), first.prompt, "staging", first)

    graph = lineage_of(get_run(team.project, run.pk), payload_of(run))

    assert ("label", "production") in names(graph)
    assert ("label", "staging") not in names(graph)
    # It was asked for by its number, so the label does not lead to it.
    assert {"from": "version", "to": "run", "label": ""} in graph["edges"]


def test_its_lineage_of_a_draft_names_the_text(team: Team) -> None:
    endpoint = scripted_endpoint(team)
    version = team.prompt()
    content = {**GREETING, "messages": [{"role": "user", "content": "Draft"}]}
    run = start_draft_run(team.actor("editor"), team.project, content, endpoint, prompt=version.prompt, variables={})

    graph = lineage_of(get_run(team.project, run.pk), payload_of(run))

    assert ("version", f"draft {run.spec.sha256[:8]}") in names(graph)


def test_its_lineage_names_the_run_that_it_repeats_and_its_batch(team: Team) -> None:
    endpoint = scripted_endpoint(team)
    team.prompt()
    run = start(team)
    again = replay_run(team.actor("editor"), get_run(team.project, run.pk))
    target = version_target(team.project, "greeting", version=1)
    batch = start_batch(team.actor("editor"), target, endpoint, [RunRequest({"name": "Ada"})])
    in_batch = batch.runs.get()

    repeated = lineage_of(get_run(team.project, again.pk), payload_of(again))
    batched = lineage_of(get_run(team.project, in_batch.pk), payload_of(in_batch))

    assert ("run", f"…{str(run.pk)[-8:]}") in names(repeated)
    assert ("batch", f"…{str(batch.pk)[-8:]}") in names(batched)


def test_it_counts_the_elapsed_time_from_the_server(editor: Client, team: Team) -> None:
    from promptops.runs.claiming import claim

    run = start(team)
    claim("api", 1, "api@here:1")
    Run.objects.filter(pk=run.pk).update(started_at=timezone.now() - dt.timedelta(seconds=5))

    text = page(editor, team, run)

    elapsed = int(text.split('data-elapsed-ms="')[1].split('"')[0])
    assert 5000 <= elapsed < 20_000


def test_it_costs_a_fixed_number_of_queries(
    editor: Client, team: Team, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    version = team.project.prompts.get().versions.get()
    move_label(team.actor("owner"), version.prompt, "production", version)
    run = start(team, label="production")
    work()
    page(editor, team, run)
    with django_assert_max_num_queries(15):
        page(editor, team, run)
