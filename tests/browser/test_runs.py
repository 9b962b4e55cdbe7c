"""Watching runs in the browser: retries, lost connections, missing workers; lists and batches that renew themselves."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from promptops.catalog.models import Endpoint
from promptops.runs.models import Batch, Run
from promptops.runs.selectors import payload_of
from promptops.runs.services import start_batch, version_target
from promptops.runs.targets import RunRequest
from tests.browser.editor import EditorPage
from tests.browser.runs import heard, listen, output, panel, run_in_editor, wait_for_tokens, wait_until_ended
from tests.people import Team
from tests.processes import CeleryWorker
from tests.runs.pages import scripted_endpoint, start

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def make_batch(team: Team, endpoint: Endpoint, size: int) -> Batch:
    target = version_target(team.project, "greeting", version=1)
    return start_batch(team.actor("editor"), target, endpoint, [RunRequest({"name": f"P{n}"}) for n in range(size)])


@pytest.fixture(scope="module", autouse=True)
def worker(api_worker: CeleryWorker) -> CeleryWorker:
    return api_worker


def test_a_second_attempt_begins_the_text_anew(page: Page, team: Team) -> None:
    team.prompt()
    scripted_endpoint(team, "scripted?error=truncated_stream&after=3&times=1", slug="breaks")
    run_in_editor(page, team, "breaks")
    wait_until_ended(page)

    attempts = [event["data"]["attempt"] for event in heard(page) if event["name"] == "started"]
    assert len(attempts) >= 2
    assert attempts == sorted(set(attempts))
    run = Run.objects.get()
    assert run.attempt_count == attempts[-1]
    expect(output(page)).to_have_text("[You are polite.] Greet Ada in one sentence.")


def test_a_lost_connection_comes_back_and_nothing_is_doubled(page: Page, team: Team) -> None:
    team.prompt()
    scripted_endpoint(team, "scripted?tokens=80&latency=8", slug="slow")
    run_in_editor(page, team, "slow")
    wait_for_tokens(page, 3)

    page.evaluate(
        "() => { const source = window.sources.at(-1); source.close(); source.dispatchEvent(new Event('error')); }"
    )
    expect(page.locator("[data-part=connection]")).to_contain_text("connecting again")
    page.wait_for_function("() => window.sources.length === 2")
    expect(page.locator("[data-part=connection]")).to_be_hidden()
    page.wait_for_function("() => document.querySelector('[data-part=output]').textContent.includes('word40')")
    streamed = output(page).inner_text()
    wait_until_ended(page)

    whole = payload_of(Run.objects.get()).output or ""
    assert whole.startswith(streamed)
    assert streamed.count("word1 ") == 1
    expect(output(page)).to_have_text(whole)


def test_a_failure_says_what_to_do(page: Page, team: Team) -> None:
    team.prompt()
    scripted_endpoint(team, "scripted?error=authentication&message=Wrong+key.", slug="locked")
    run_in_editor(page, team, "locked")
    wait_until_ended(page, "failed")

    expect(panel(page).get_by_role("alert")).to_contain_text("Wrong key.")
    expect(panel(page).get_by_role("alert")).to_contain_text("Have an admin replace the key")


def test_what_cannot_run_is_said_where_the_output_would_be(page: Page, team: Team) -> None:
    team.prompt()
    scripted_endpoint(team)
    EditorPage(page).open(team)
    page.keyboard.press("Control+Enter")

    expect(page.locator("#run-area").get_by_role("alert")).to_contain_text("Variable “name”")
    assert not Run.objects.exists()


def test_the_page_of_a_run_goes_from_streaming_to_its_end(page: Page, team: Team) -> None:
    team.prompt()
    scripted_endpoint(team, "scripted?tokens=20&latency=2", slug="slow")
    run = start(team, endpoint="slow")
    listen(page).goto(f"/p/{team.project.slug}/runs/{run.pk}/")
    wait_for_tokens(page, 2)

    expect(page.locator("#run-output")).to_contain_text("word19")
    expect(page.locator(".tiles")).to_contain_text("First token")
    expect(page.locator(".lineage canvas").first).to_be_visible()


def test_a_run_is_repeated_on_another_model(page: Page, team: Team) -> None:
    team.prompt()
    scripted_endpoint(team)
    scripted_endpoint(team, slug="other", name="Another model")
    run = start(team)
    page.goto(f"/p/{team.project.slug}/runs/{run.pk}/")
    page.locator("summary", has_text="Run again").click()
    page.get_by_role("button", name="Another model").click()

    page.wait_for_url(re.compile(rf"/runs/(?!{run.pk})[0-9a-f-]+/$"))
    expect(page.locator(".lineage-list")).to_contain_text(f"…{str(run.pk)[-8:]}")
    expect(page.locator("#run-output")).to_contain_text("Greet Ada")


def test_the_list_shows_the_end_without_a_reload(page: Page, team: Team) -> None:
    team.prompt()
    scripted_endpoint(team, "scripted?tokens=5&latency=3", slug="slow")
    run = start(team, endpoint="slow")
    page.goto(f"/p/{team.project.slug}/runs/")
    row = page.locator("tr", has=page.locator(f"#run-{run.pk}"))
    expect(row).to_contain_text(re.compile("Queued|Running"))
    page.locator(f"#run-{run.pk}").focus()

    expect(row).to_contain_text("Succeeded")
    expect(row).to_contain_text("word0 word1")
    assert page.evaluate("document.activeElement.id") == f"run-{run.pk}"


def test_the_list_is_filtered_as_one_chooses(page: Page, team: Team) -> None:
    team.prompt()
    scripted_endpoint(team)
    scripted_endpoint(team, "scripted?error=context_length&message=Too+long.", slug="short")
    start(team)
    start(team, endpoint="short")
    page.goto(f"/p/{team.project.slug}/runs/")
    expect(page.locator("#run-table")).to_contain_text("2 runs")
    page.get_by_label("Status").select_option("failed")

    expect(page.locator("#run-table")).to_contain_text("1 run")
    expect(page.locator("#run-table")).to_contain_text("Too long.")
    assert "status=failed" in page.url
    page.get_by_label("Status").select_option("cancelled")
    expect(page.locator("#run-table")).to_contain_text("No run fits")


def test_a_batch_is_cancelled_after_a_question(page: Page, team: Team) -> None:
    team.prompt()
    endpoint = scripted_endpoint(team, "scripted?tokens=5&latency=60", slug="slow")
    batch = make_batch(team, endpoint, 3)
    page.goto(f"/p/{team.project.slug}/runs/batches/{batch.pk}/")
    expect(page.locator("#batch-body")).to_contain_text("Running")
    page.get_by_role("button", name="Cancel", exact=True).click()
    with page.expect_response(lambda response: f"batches/{batch.pk}" in response.url, timeout=10_000):
        pass  # the page renews itself below the question
    page.get_by_role("button", name="Cancel the batch").click()

    expect(page.locator(".toast-note")).to_contain_text("Cancelled.")
    expect(page.locator("#batch-body")).to_contain_text("3 / 3")
    expect(page.get_by_role("button", name="Pause")).to_be_hidden()
