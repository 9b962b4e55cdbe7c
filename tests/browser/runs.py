"""What the browser tests of runs share: an ear on the page's event streams, and the panel of a run."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.editor import EditorPage
from tests.people import Team

LISTEN = """
window.heard = [];
window.sources = [];
const Native = window.EventSource;
window.EventSource = class extends Native {
  constructor(...given) {
    super(...given);
    window.sources.push(this);
    for (const name of ["started", "token", "ended"]) {
      this.addEventListener(name, (event) => window.heard.push({ name, data: JSON.parse(event.data) }));
    }
  }
};
"""


def listen(page: Page) -> Page:
    """Have every page that this window opens from now on note what its event streams tell, in ``window.heard``."""
    page.add_init_script(LISTEN)
    return page


def heard(page: Page) -> list[dict[str, Any]]:
    """What the present page's streams have told: ``{name, data}``, in order."""
    told: list[dict[str, Any]] = page.evaluate("window.heard")
    return told


def names_heard(page: Page) -> list[str]:
    return [event["name"] for event in heard(page)]


def panel(page: Page) -> Locator:
    return page.locator("[data-run]")


def output(page: Page) -> Locator:
    return page.locator("[data-run] [data-part=output]")


def wait_for_tokens(page: Page, count: int, *, seconds: float = 60) -> None:
    """Wait until the page has heard so many pieces of text; fail when the run ends before."""
    condition = """count => window.heard.filter((event) => event.name === "token").length >= count
        || window.heard.some((event) => event.name === "ended")"""
    page.wait_for_function(condition, arg=count, timeout=seconds * 1000)
    told = names_heard(page)
    before_the_end = told[: told.index("ended")] if "ended" in told else told
    assert before_the_end.count("token") >= count, f"the run ended after {told}"


def wait_until_ended(page: Page, status: str = "succeeded", *, seconds: float = 60) -> None:
    """Wait until the server's own rendering of the end has taken the panel's place."""
    expect(panel(page)).to_have_attribute("data-status", status, timeout=seconds * 1000)


def run_in_editor(page: Page, team: Team, endpoint: str) -> None:
    """Open the prompt “greeting”, choose the model, fill in the variable, and press Ctrl+Enter."""
    editor = EditorPage(listen(page)).open(team)
    page.get_by_label("Model endpoint").select_option(endpoint)
    editor.variable("name").fill("Ada")
    page.keyboard.press("Control+Enter")
