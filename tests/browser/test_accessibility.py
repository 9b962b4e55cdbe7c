"""Every page through axe (WCAG 2.1 A and AA), in both themes and on a phone: none has a violation, none is too wide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from tests.access.test_pages import BOTH, GET, PAGES, TABLE, url_of
from tests.access.world import World, furnish_team
from tests.browser.conftest import Browse
from tests.people import Team

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

AXE = Path(settings.BASE_DIR) / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]

# Fragments, downloads, streams and JSON: no page of their own.
NOT_PAGES = {
    "healthz",
    "readyz",
    "accounts:home",
    "accounts:project-switcher",
    "notifications:count",
    "notifications:open",
    "notifications:deliveries",
    "prompts:search",
    "prompts:includable",
    "runs:callers-panel",
    "reviews:home-panel",
    "reviews:message",
    "prompts:home-panel",
    "runs:home-panel",
    "runs:stream",
    "runs:panel",
    "runs:recent-panel",
}
WINDOWS = {"light": (1280, 800), "dark": (1280, 800), "phone": (390, 844)}


def addresses(world: World) -> list[str]:
    """Every page that a person can open, and a few that come with a query."""
    names = world.names()
    found = [
        url_of(name, names)
        for name, rule in TABLE.items()
        if rule.methods in (GET, BOTH)
        and name not in NOT_PAGES
        and not name.endswith("-csv")
        and "secret" not in PAGES[name]
    ]
    prompts = f"/p/{world.project.slug}/prompts"
    return [
        *found,
        "/inbox/?show=all",
        f"{prompts}/?q=nothing-like-it",
        f"{prompts}/?archived=1",
        f"{prompts}/{names['slug']}/diff/?from=1&to=2",
        f"{prompts}/{names['slug']}/diff/?from=1&to=2&view=inline",
        f"{prompts}/no-such-prompt/",
        f"/p/{world.project.slug}/changes/?show=waiting",
        f"/p/{world.project.slug}/changes/{names['change']}/?view=inline",
    ]


@pytest.mark.parametrize("window", WINDOWS)
def test_no_page_has_a_violation(browse: Browse, team: Team, window: str) -> None:
    world = furnish_team(team)
    width, height = WINDOWS[window]
    page = browse(team.owner, width=width, height=height, theme="dark" if window == "dark" else "light")
    problems = []
    for address in addresses(world):
        page.goto(address)
        expect(page.locator(".htmx-request")).to_have_count(0)  # panels that the page loads
        problems += [f"{address}: {problem}" for problem in violations(page)]
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            problems.append(f"{address}: the page is {wide} px too wide")
    assert not problems, "\n".join(problems)


def test_nobody_who_signs_in_meets_a_violation(browse: Browse, team: Team) -> None:
    page = browse()
    for address in ("/sign-in/", "/link/no-such-secret/", "/invitations/no-such-secret/"):
        page.goto(address)
        assert violations(page) == [], address


def violations(page: Page) -> list[str]:
    """What axe finds: the rule, and the elements."""
    page.evaluate(AXE.read_text(encoding="utf-8"))  # evaluated by the debugger, so the page's own policy stays as it is
    found: dict[str, Any] = page.evaluate(
        "rules => axe.run(document, {runOnly: {type: 'tag', values: rules}, resultTypes: ['violations']})", RULES
    )
    return [
        f"{one['id']} ({one['impact']}): {', '.join(str(node['target'][0]) for node in one['nodes'][:3])}"
        for one in found["violations"]
    ]
