"""What a browser sees when a request fails: a page, a toast for htmx, or problem JSON; never a stack of Python."""

import pytest
from django.db import OperationalError
from django.test import Client

from promptops.accounts.views import projects
from promptops.core.errors import AppError, Conflict, Invalid, RateLimited, Unavailable
from tests.html import HTMX, Page, signed_in, toast_of
from tests.people import Team

JSON = {"Accept": "application/json"}


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Make the list of projects fail like that."""

    def fail(user: object) -> None:
        raise error

    monkeypatch.setattr(projects, "memberships_of", fail)


@pytest.mark.parametrize(
    ("error", "title"),
    [
        (Conflict("Somebody was faster."), "This has changed in the meantime"),
        (Invalid("Nothing fits.", errors={"name": ["Enter a <name>."]}), "This cannot be done as asked"),
        (RateLimited("Slow down.", retry_after=7), "Too many attempts"),
        (Unavailable("Away."), "Not available at the moment"),
    ],
)
def test_an_expected_failure_is_told_in_three_forms(
    team: Team, monkeypatch: pytest.MonkeyPatch, error: AppError, title: str
) -> None:
    failing(monkeypatch, error)
    client = signed_in(team.editor)

    page = Page(client.get("/projects/"), error.http_status)
    assert title in page.text
    assert error.detail in page.text
    assert "<name>" not in page.source

    answer = client.get("/projects/", headers=HTMX)
    assert (answer.status_code, answer.content) == (error.http_status, b"")
    assert toast_of(answer) == error.detail
    assert answer.headers["HX-Reswap"] == "none"  # what is on the page, and what was typed, stays

    problem = client.get("/projects/", headers=JSON)
    assert problem.headers["Content-Type"].startswith("application/problem+json")
    assert problem.json() == error.as_problem()
    if error.http_status == 429:
        assert [one.headers["Retry-After"] for one in (answer, problem)] == ["7", "7"]


def test_a_lost_database_is_no_bug(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, OperationalError("server closed the connection"))
    client = signed_in(team.editor)
    answer = client.get("/projects/")
    page = Page(answer, 503)
    assert "The database does not answer" in page.text
    assert "server closed" not in page.source
    assert answer.headers["Retry-After"] == "2"
    assert "does not answer" in toast_of(client.get("/projects/", headers=HTMX))


def test_a_bug_shows_a_page_without_its_reasons(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, ZeroDivisionError("a secret reason"))
    client = signed_in(team.editor, raise_request_exception=False)
    page = Page(client.get("/projects/"), 500)
    assert "Something went wrong on our side" in page.text
    assert "secret reason" not in page.source
    assert "ZeroDivision" not in page.source


@pytest.mark.django_db
def test_an_unknown_address_looks_alike_for_everybody(team: Team) -> None:
    texts = {
        Page(client.get("/no/such/page/"), 404).content.text
        for client in (Client(), signed_in(team.viewer), signed_in(team.owner))
    }
    assert len(texts) == 1
    assert "There is nothing at this address" in texts.pop()
    assert "moved or never existed" in toast_of(Client().get("/no/such/page/", headers=HTMX))


@pytest.mark.django_db
def test_a_strangers_host_is_a_bad_request() -> None:
    page = Page(Client().get("/sign-in/", headers={"Host": "evil.example"}), 400)
    assert "could not be understood" in page.text
    assert "evil.example" not in page.source


def test_a_refused_method_says_so(team: Team) -> None:
    answer = signed_in(team.editor).get("/sign-out/")
    assert answer.headers["Allow"] == "POST"
    assert "does not take that kind of request" in Page(answer, 405).text


def test_a_missing_csrf_token_is_told_in_three_forms(team: Team) -> None:
    client = signed_in(team.editor, enforce_csrf_checks=True)
    assert "The form has expired" in Page(client.post("/profile/"), 403).text
    assert "Reload it" in toast_of(client.post("/profile/", headers=HTMX))
    assert client.post("/profile/", headers=JSON).json()["code"] == "csrf_failed"


def test_error_pages_stand_under_the_content_policy(team: Team) -> None:
    answer = signed_in(team.viewer).get("/p/team/audit/")
    assert answer.status_code == 403
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
