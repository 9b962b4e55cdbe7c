"""Runs in the browser where no worker is there (yet): what is said, and how the pages fit a screen."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from promptops.runs.models import Run
from promptops.runs.services import start_batch, version_target
from promptops.runs.targets import RunRequest
from tests.browser.conftest import Browse
from tests.browser.runs import output, panel, run_in_editor, wait_until_ended
from tests.people import Team
from tests.processes import CeleryWorker
from tests.runs.pages import scripted_endpoint, start

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SIZES = [(1280, 800, "light"), (390, 844, "dark")]


def test_a_run_waits_for_a_worker_and_says_so(page: Page, team: Team) -> None:
    team.prompt()
    scripted_endpoint(team)
    run_in_editor(page, team, "scripted")
    note = panel(page).locator("[data-part=note]")
    expect(note).to_contain_text("No worker serves the queue “api”")

    with CeleryWorker("api"):
        wait_until_ended(page)
    expect(output(page)).to_contain_text("Greet Ada in one sentence.")


def test_a_queued_run_is_cancelled_at_once(page: Page, team: Team) -> None:
    team.prompt()
    scripted_endpoint(team)
    run_in_editor(page, team, "scripted")
    panel(page).get_by_role("button", name="Cancel").click()

    wait_until_ended(page, "cancelled", seconds=5)
    assert Run.objects.get().status == "cancelled"


@pytest.fixture
def many(team: Team) -> dict[str, Any]:
    """Runs and a batch, as they are before any worker came."""
    team.prompt("a-prompt-with-a-rather-long-name-for-a-narrow-screen")
    team.prompt()
    endpoint = scripted_endpoint(team, name="A model with a long name, too")
    run = start(team, metadata={"a_long_key_without_any_space_in_it": "x" * 80})
    start(team, "a-prompt-with-a-rather-long-name-for-a-narrow-screen")
    target = version_target(team.project, "greeting", version=1)
    batch = start_batch(team.actor("editor"), target, endpoint, [RunRequest({"name": "Ada"})])
    return {"run": run, "batch": batch}


@pytest.mark.parametrize(("width", "height", "theme"), SIZES)
def test_the_pages_fit_the_screen(
    browse: Browse, team: Team, many: dict[str, Any], width: int, height: int, theme: str
) -> None:
    page = browse(team.editor, width=width, height=height, theme=theme)
    base = f"/p/{team.project.slug}"
    for path in (
        "/runs/",
        f"/runs/{many['run'].pk}/",
        "/runs/batches/",
        f"/runs/batches/{many['batch'].pk}/",
        "/prompts/greeting/runs/",
    ):
        page.goto(base + path)
        expect(page.locator("h1")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
