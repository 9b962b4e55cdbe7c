"""The demo project: made by its people through the services, brought back, set aside; and its runs succeed."""

from __future__ import annotations

import io
from collections import Counter
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from promptops import templating
from promptops.accounts.actors import SYSTEM, user_actor
from promptops.accounts.models import Membership, Project, Role, User
from promptops.audit.querysets import events_of
from promptops.audit.services import verify
from promptops.catalog.selectors import default_endpoint
from promptops.core.errors import Conflict
from promptops.management.demo.making import make_demo
from promptops.management.demo.prompts import PROMPTS
from promptops.management.demo.story import RollBack, Save
from promptops.prompts.models import LabelMove, Prompt, PromptVersion
from promptops.prompts.services import archive_prompt, create_version, move_label, remove_label
from promptops.prompts.snippets import example_values
from promptops.reviews.models import ChangeRequest
from promptops.reviews.selectors import standing_of
from promptops.reviews.services import break_glass_label
from promptops.runs.models import Batch, Run, RunPayload, Status
from promptops.runs.services import cancel_run
from tests.processes import CeleryWorker, wait_until_ended


def demo(*arguments: str) -> str:
    call_command("demo", *arguments, stdout=(output := io.StringIO()))
    return output.getvalue()


def people(project: Project) -> dict[str, User]:
    return {one.role: one.user for one in Membership.objects.filter(project=project).select_related("user")}


def standing(project: Project) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for prompt in Prompt.objects.filter(project=project):
        labels = prompt.labels.exclude(version=None).select_related("version")
        found[prompt.slug] = {label.name: label.version.number for label in labels if label.version}
    return found


def counts() -> list[int]:
    return [model.objects.count() for model in (Project, User, Membership, PromptVersion, LabelMove, Run, Batch)]


@pytest.mark.django_db
def test_it_is_made_by_its_people_with_the_applications_rights() -> None:
    assert connection.settings_dict["USER"] == "promptops_app"
    said = demo()
    project = Project.objects.get(slug="demo")
    members = people(project)

    assert set(members) == {role.value for role in Role}
    assert all(user.email.endswith("@demo.example") and user.name.startswith("Demo ") for user in members.values())
    assert not any(user.has_usable_password() for user in members.values())
    name, *options = said.partition("manage.py ")[2].split()
    assert (name, options) == ("sign_in_link", ["--email", "owner@demo.example"])
    call_command(name, *options, stdout=(link := io.StringIO()))
    assert "/link/" in link.getvalue()
    assert set(standing(project)) == {"conversation-summary", "support-reply", "sentiment-label"}
    versions = PromptVersion.objects.filter(prompt__project=project)
    assert Counter(versions.values_list("prompt__slug", flat=True)) == {
        story.slug: sum(isinstance(step, Save) for step in story.steps) for story in PROMPTS
    }
    assert all(version.author == members["editor"] and len(version.message) > 10 for version in versions)
    moves = LabelMove.objects.filter(label__project=project)
    assert {move.actor_user for move in moves} == {members["editor"], members["reviewer"]}
    assert all(move.reason for move in moves)
    rollbacks = sum(isinstance(step, RollBack) for story in PROMPTS for step in story.steps)
    assert moves.filter(authority=LabelMove.Authority.ROLLBACK).count() == rollbacks == 2
    assert verify(project.pk).valid
    assert events_of(project.pk).filter(user_id=members["editor"].pk).count() > 20


@pytest.mark.django_db
def test_a_change_of_a_protected_label_waits_for_its_review() -> None:
    project = make_demo()
    change = ChangeRequest.objects.get(project=project)
    assert (change.prompt.slug, change.label, change.state) == ("support-reply", "production", "open")
    assert standing_of(change).codes == ["approvals"]
    assert [comment.author for comment in change.comments.all()] == [people(project)["reviewer"]]


@pytest.mark.django_db
def test_its_runs_are_queued_on_the_embedded_model_and_nothing_is_made_up() -> None:
    project = make_demo()
    endpoint = default_endpoint(project)
    runs = Run.objects.filter(project=project)

    assert 12 <= runs.count() <= 60
    assert {run.endpoint_id for run in runs} == {endpoint.pk if endpoint else None}
    assert {run.status for run in runs} == {Status.QUEUED}
    assert not RunPayload.objects.exclude(output=None).exists()
    assert Batch.objects.filter(project=project).count() == 3
    tried = {(run.prompt_id, run.version_id) for run in runs}
    assert tried == set(PromptVersion.objects.filter(prompt__project=project).values_list("prompt_id", "pk"))
    assert {run.label for run in runs} == {"", "staging"}


@pytest.mark.django_db
def test_every_version_renders_with_its_example_values() -> None:
    make_demo()
    for version in PromptVersion.objects.select_related("spec", "prompt"):
        values = example_values(version.content["variables"])
        assert values
        assert all(declared.get("example") for declared in version.content["variables"].values())
        messages = templating.render(templating.template_of(version.content), values)
        assert messages[-1]["role"] == "user"
        assert "{" not in messages[-1]["content"], (version, messages[-1])


@pytest.mark.django_db
@pytest.mark.parametrize("story", PROMPTS, ids=lambda story: story.slug)
def test_the_newest_version_has_nothing_that_lint_would_mention(story: Any) -> None:
    newest = [step for step in story.steps if isinstance(step, Save)][-1].content
    content = templating.canonical_spec(newest)
    template = templating.template_of(content)
    assert templating.lint(template, content["parameters"], content["output_schema"]) == []


@pytest.mark.django_db
def test_a_second_time_changes_nothing() -> None:
    project = make_demo()
    before = counts(), standing(project)
    assert "is ready" in demo()
    assert (counts(), standing(project)) == before


@pytest.mark.django_db
def test_what_somebody_changed_is_brought_back_and_what_they_added_stays() -> None:
    project = make_demo()
    before, stood = counts(), standing(project)
    members = people(project)
    admin = user_actor(members["admin"])
    prompts = {prompt.slug: prompt for prompt in Prompt.objects.filter(project=project)}
    reply = prompts["support-reply"]
    added, _new = create_version(admin, reply, {**reply.versions.get(number=1).content, "parameters": {}}, message="x")
    with pytest.raises(Conflict):  # protected
        move_label(admin, reply, "production", added)
    break_glass_label(user_actor(members["owner"]), reply, "production", added, reason="because I can")
    move_label(admin, reply, "mine", added)
    remove_label(admin, prompts["sentiment-label"], "staging")
    archive_prompt(admin, prompts["conversation-summary"])
    Membership.objects.filter(project=project, role="viewer").delete()

    demo()

    assert standing(project) == {**stood, "support-reply": {**stood["support-reply"], "mine": added.number}}
    assert not Prompt.objects.filter(project=project).exclude(archived_at=None).exists()
    assert people(project).keys() == members.keys()
    assert LabelMove.objects.filter(label__project=project).order_by("-id")[0].actor_kind == SYSTEM.kind
    assert counts()[3] == before[3] + 1  # the added version
    assert counts()[5] == before[5]  # no run is repeated


@pytest.mark.django_db
def test_anew_sets_the_old_one_aside_with_all_that_is_in_it() -> None:
    first = make_demo()
    runs = Run.objects.filter(project=first).count()
    said = demo("--anew")
    first.refresh_from_db()
    second = Project.objects.get(slug="demo")

    assert "demo-1" in said
    assert (first.slug, first.archived_at) == ("demo-1", None)
    assert second.pk != first.pk
    assert standing(second) == standing(first) == {story.slug: story.standing for story in PROMPTS}
    assert Run.objects.filter(project=first).count() == Run.objects.filter(project=second).count() == runs
    assert people(first) == people(second)
    demo("--anew")
    assert {project.slug for project in Project.objects.all()} == {"demo", "demo-1", "demo-2"}


@pytest.mark.django_db(transaction=True)
def test_its_runs_succeed_on_the_embedded_model(local_worker: CeleryWorker) -> None:
    """One run of each prompt's version in production; the others are cancelled, so that the test is short."""
    with transaction.atomic():
        project = make_demo()
        chosen: dict[str, Run] = {}
        for run in Run.objects.filter(project=project).select_related("prompt", "version", "project").order_by("id"):
            production = run.prompt.labels.get(name="production").version_id if run.prompt else None
            if run.prompt and run.version_id == production and run.prompt.slug not in chosen:
                chosen[run.prompt.slug] = run
            else:
                cancel_run(SYSTEM, run)

    ended = wait_until_ended(*chosen.values(), seconds=120)

    outputs = {}
    for run in ended:
        assert run.status == Status.SUCCEEDED, run.error
        assert run.cost_usd == 0
        outputs[run.prompt.slug] = RunPayload.objects.get(run_id=run.pk).output or ""
    assert "shade" in outputs["conversation-summary"]
    assert "new shade" in outputs["support-reply"]
    assert outputs["sentiment-label"] == '{"sentiment": "positive"}'
