"""A Chromium in which the people of a test browse the real web server.

    pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

    def test_it_greets(page: Page, team: Team) -> None:         # the editor's browser, 1280 × 800
        page.goto(f"/p/{team.project.slug}/prompts/")

    def test_on_a_phone(browse: Browse, team: Team) -> None:    # anybody's, of any size
        page = browse(team.viewer, width=390, height=844)

A test fails at its end when a page logged an error, threw an exception, broke the content security policy, or got an
answer of 500 or above. A page that a test wants to see fail is watched by nobody: ``browse(user, watched=False)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response, expect, sync_playwright

from promptops.management.services.processes import tail
from tests.chromium import executable, launch_arguments
from tests.people import Team
from tests.web import WebServer, session_of

if TYPE_CHECKING:
    from promptops.accounts.models import User

WAIT_MS = 15_000  # two cores, shared with everybody else
# The browser logs each refused answer, and htmx each request that a newer one took the place of (the preview's, while
# somebody types); which answers are expected is a matter of the test.
EXPECTED = ("Failed to load resource", "htmx:sendAbort", "htmx:afterRequest")


class Browse(Protocol):
    """Open a window in which somebody (None: nobody) is signed in. Windows of one ``context`` share their cookies."""

    def __call__(
        self,
        user: User | None = None,
        *,
        width: int = 1280,
        height: int = 800,
        theme: str = "light",
        context: BrowserContext | None = None,
        watched: bool = True,
    ) -> Page: ...


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser a module; every test gets windows of its own."""
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps an event loop in this thread, which makes Django think that the tests are asynchronous.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        expect.set_options(timeout=WAIT_MS)
        browser = playwright.chromium.launch(executable_path=executable(), args=launch_arguments())
        yield browser
        browser.close()


@pytest.fixture
def browse(chromium: Browser, web: WebServer) -> Iterator[Browse]:
    """Opens windows; when the test is over, what went wrong in them fails it."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def open_window(
        user: User | None = None,
        *,
        width: int = 1280,
        height: int = 800,
        theme: str = "light",
        context: BrowserContext | None = None,
        watched: bool = True,
    ) -> Page:
        if context is None:
            viewport: Any = {"width": width, "height": height}
            context = chromium.new_context(base_url=web.url, viewport=viewport, reduced_motion="reduce")
            context.set_default_timeout(WAIT_MS)
            contexts.append(context)
            if user is not None:
                sign_in(context, user, web)
            context.add_cookies([{"name": "theme", "value": theme, "url": web.url}])
        page = context.new_page()
        if watched:
            _watch(page, problems)
        return page

    yield open_window
    for context in contexts:
        context.close()
    assert not problems, "The browser met problems:\n" + "\n".join(
        [*problems, "The server's log ends:", tail(web.log, 60)]
    )


@pytest.fixture
def page(browse: Browse, team: Team) -> Page:
    """The editor's browser."""
    return browse(team.editor)


def sign_in(context: BrowserContext, user: User, web: WebServer) -> None:
    """Give the browser a session, as if the person had signed in."""
    context.add_cookies([{"name": "sessionid", "value": session_of(user), "url": web.url}])


def _watch(page: Page, problems: list[str]) -> None:
    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(EXPECTED):
            problems.append(f"console: {message.text}")

    def on_response(response: Response) -> None:
        if response.status >= 500:
            problems.append(f"{response.status} {response.request.method} {response.url}")

    page.on("console", on_console)
    page.on("pageerror", lambda error: problems.append(f"exception: {error}"))
    page.on("response", on_response)
