"""The main job, in the browser, on the embedded model: sign in, write, preview, save, run, watch, read the lineage."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from playwright.sync_api import expect

from promptops.accounts.models import User
from promptops.prompts.models import PromptVersion
from promptops.prompts.services import move_label
from promptops.runs.models import Run
from promptops.runs.selectors import payload_of
from tests.browser.conftest import Browse
from tests.browser.editor import EditorPage
from tests.browser.runs import heard, listen, names_heard, output, panel, wait_for_tokens, wait_until_ended
from tests.people import GREETING, Team
from tests.processes import CeleryWorker

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PASSWORD = "a fox in the winter forest"


@pytest.fixture(scope="module", autouse=True)
def worker(embedded_model: Path, local_worker: CeleryWorker) -> CeleryWorker:
    """The worker of the queue `local`, which finds the model in this session's data directory."""
    return local_worker


def set_password(user: User) -> None:
    """By the method that the real server knows; the tests' own is quick and unknown to it."""
    hasher = Argon2PasswordHasher()
    user.password = hasher.encode(PASSWORD, hasher.salt())
    user.save(update_fields=["password"])


def test_somebody_writes_a_prompt_runs_it_and_reads_where_the_answer_came_from(browse: Browse, team: Team) -> None:
    set_password(team.editor)
    page = listen(browse())

    # Sign in, and land where one wanted to go.
    page.goto(f"/p/{team.project.slug}/prompts/")
    page.get_by_label("E-mail").fill(team.editor.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"/p/{team.project.slug}/prompts/")

    # Write, and see the preview follow.
    page.keyboard.press("c")
    editor = EditorPage(page).ready()
    page.locator("#heading-slug").fill("story")
    editor.write(1, "You write one short story about {{ animal }}.")
    editor.variable("animal").fill("a small fox")
    expect(editor.preview).to_contain_text("You write one short story about a small fox.")
    page.locator("summary", has_text="Parameters").click()
    page.get_by_label("Longest answer (tokens)").fill("60")

    # Save version 1, and release it.
    editor.save("First words")
    page.wait_for_url(f"/p/{team.project.slug}/prompts/story/")
    version = PromptVersion.objects.select_related("prompt").get()
    move_label(team.actor("editor"), version.prompt, "production", version)

    # Run it, and see the tokens come.
    editor.ready()
    page.keyboard.press("Control+Enter")
    wait_for_tokens(page, 2)
    wait_until_ended(page)
    told = heard(page)
    assert "".join(event["data"]["text"] for event in told if event["name"] == "token") == told[-1]["data"]["output"]
    run = Run.objects.get()
    expect(output(page)).to_have_text(payload_of(run).output or "")
    assert run.version == version
    expect(panel(page)).to_contain_text(f"→ {run.output_tokens}")
    expect(panel(page).locator("[data-part=ttft]")).to_have_text(re.compile(r"^[\d.]+ (ms|s)$"))
    expect(panel(page).locator("[data-part=cost]")).to_have_text("$0")

    # Open its page, and read the lineage.
    page.get_by_role("link", name="Open the run").click()
    page.wait_for_url(f"/p/{team.project.slug}/runs/{run.pk}/")
    expect(page.locator("#run-output")).to_have_text(payload_of(run).output or "")
    expect(page.locator(".bubble.system")).to_contain_text("You write one short story about a small fox.")
    expect(page.locator(".lineage canvas").first).to_be_visible()
    steps = page.locator(".lineage-list li")
    expect(steps).to_have_text(
        [
            re.compile("Prompt.*story"),
            re.compile("Version.*version 1"),
            re.compile("Label at that time.*production"),
            re.compile("Model.*SmolLM2"),
            re.compile(f"Run.*{str(run.pk)[-8:]}"),
        ]
    )
    steps.get_by_role("link", name="version 1").click()
    page.wait_for_url(f"/p/{team.project.slug}/prompts/story/versions/1/")
    expect(page.get_by_text("First words")).to_be_visible()


def test_a_run_survives_a_reload_and_can_be_cancelled(browse: Browse, team: Team) -> None:
    messages = [{"role": "user", "content": "Tell a very long story about {{ animal }}."}]
    team.prompt("story", messages=messages, parameters={"max_tokens": 2000, "temperature": 0.7})
    page = listen(browse(team.editor))
    editor = EditorPage(page).open(team, "story")
    editor.variable("animal").fill("an owl")
    page.keyboard.press("Control+Enter")
    wait_for_tokens(page, 2)
    before = output(page).inner_text()

    page.reload()
    wait_for_tokens(page, 2)
    expect(panel(page)).to_have_attribute("data-status", "running")
    told = "".join(event["data"]["text"] for event in heard(page) if event["name"] == "token")
    assert told.startswith(before)
    assert len(told) > len(before)
    assert "ended" not in names_heard(page)

    page.get_by_role("button", name="Cancel", exact=True).click()
    wait_until_ended(page, "cancelled")

    run = Run.objects.get()
    assert run.status == "cancelled"
    text = payload_of(run).output or ""
    assert text.startswith(before.rstrip())
    expect(output(page)).to_have_text(text)
    expect(panel(page)).to_contain_text("the run was cancelled here")


def test_a_changed_text_runs_as_a_draft(browse: Browse, team: Team) -> None:
    version = team.prompt(messages=GREETING["messages"], parameters={"max_tokens": 8})
    page = listen(browse(team.editor))
    editor = EditorPage(page).open(team)
    editor.write(2, "Count to {{ name }}.")
    editor.variable("name").fill("three")
    expect(editor.preview).to_contain_text("Count to three.")

    page.keyboard.press("Control+Enter")
    wait_until_ended(page)

    run = Run.objects.get()
    assert (run.prompt, run.version) == (version.prompt, None)
    assert (payload_of(run).messages or [])[1] == {"role": "user", "content": "Count to three."}
    expect(panel(page)).to_contain_text("draft")
