"""Signing in and out: by password, by a one-time link, and what guards both."""

import datetime as dt
import io
import logging

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.test import Client, RequestFactory
from django.utils import timezone

from promptops.accounts import throttle
from promptops.accounts.models import SignInFailure, SignInLink, User
from promptops.accounts.services import create_sign_in_link, create_user
from promptops.audit.querysets import events_of
from promptops.core.redaction import RedactSecrets, redact
from promptops.runs.maintenance import tidy
from tests.html import HTMX, Page, signed_in
from tests.people import Team

PASSWORD = "correct horse battery"


@pytest.fixture
def person(team: Team) -> User:
    team.editor.set_password(PASSWORD)
    team.editor.save()
    return team.editor


def sign_in(client: Client, email: str, password: str, **more: str) -> Page | None:
    """Send the form; None when it led on."""
    answer = client.post("/sign-in/", {"email": email, "password": password, **more})
    return None if answer.status_code == 302 else Page(answer, answer.status_code)


def who(client: Client) -> str:
    """The name that the sidebar shows; empty for nobody."""
    answer = client.get("/profile/")
    return "" if answer.status_code == 302 else Page(answer).values()["name"]


def test_it_lets_in_by_password_whatever_the_case_of_the_address(person: User) -> None:
    client = Client()
    assert Page(client.get("/sign-in/")).values()["email"] == ""
    assert sign_in(client, person.email.upper(), PASSWORD) is None
    assert who(client) == person.name
    assert events_of(None, action="user.signed_in", user_id=person.pk).count() == 1


def test_it_says_the_same_of_a_wrong_password_and_of_nobody(person: User, team: Team) -> None:
    team.viewer.set_password(PASSWORD)
    team.viewer.is_active = False
    team.viewer.save()
    client = Client()
    pages = [
        sign_in(client, person.email, "wrong password"),
        sign_in(client, "nobody@team.example", PASSWORD),
        sign_in(client, team.viewer.email, PASSWORD),
    ]
    assert {page.errors() if page else "in" for page in pages} == {
        "This e-mail address and password do not belong together. Check both and try again."
    }
    assert who(client) == ""


def test_it_keeps_the_address_and_never_the_password(person: User) -> None:
    page = sign_in(Client(), person.email, "wrong password")
    assert page is not None
    assert page.values()["email"] == person.email
    assert "wrong password" not in page.source


def test_it_leads_on_to_where_the_person_wanted_to_go(person: User) -> None:
    client = Client()
    asked = client.get("/p/team/settings/members/?q=a&sort=-role")
    assert asked.headers["Location"].startswith("/sign-in/?next=")
    page = Page(client.get(asked.headers["Location"]))
    answer = client.post("/sign-in/", {**page.values(), "email": person.email, "password": PASSWORD})
    assert answer.headers["Location"] == "/p/team/settings/members/?q=a&sort=-role"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "http:evil.example",
        "javascript:alert(1)",
        "/%0a/evil.example\n",
        "\t//evil.example",
        "evil",
    ],
)
def test_it_leads_to_no_strangers_site(person: User, target: str) -> None:
    client = Client()
    answer = client.post("/sign-in/", {"email": person.email, "password": PASSWORD, "next": target})
    assert answer.status_code == 302
    landed = answer.headers["Location"]
    assert landed == "/" or (landed.startswith("/%0a") and "//" not in landed)
    again = client.get("/sign-in/", {"next": target})  # signed in already
    assert again.headers["Location"] == landed


def test_it_gives_a_new_session_key_on_the_way_in(person: User) -> None:
    client = Client()
    planted = client.session
    planted["x"] = 1
    planted.save()
    client.cookies[settings.SESSION_COOKIE_NAME] = str(planted.session_key)
    sign_in(client, person.email, PASSWORD)

    assert client.cookies[settings.SESSION_COOKIE_NAME].value != planted.session_key
    thief = Client()
    thief.cookies[settings.SESSION_COOKIE_NAME] = str(planted.session_key)
    assert who(thief) == ""


def test_it_sets_a_cookie_that_no_script_and_no_other_site_gets(person: User) -> None:
    client = Client()
    sign_in(client, person.email, PASSWORD)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def test_it_slows_guessing_down(person: User) -> None:
    client = Client()
    for _guess in range(throttle.MAX_PER_ACCOUNT):
        assert sign_in(client, person.email, "a wrong guess") is not None
    page = sign_in(client, person.email, PASSWORD)
    assert page is not None
    assert "Too many refused sign-ins" in page.errors()

    link = f"/link/{create_sign_in_link(person)}/"  # the way in that a guesser does not have
    client.post(link)
    assert who(client) == person.name


def test_it_counts_guesses_of_one_address_against_all_accounts(team: Team) -> None:
    client = Client(REMOTE_ADDR="203.0.113.9")
    for number in range(throttle.MAX_PER_ADDRESS):
        sign_in(client, f"nobody{number}@team.example", "a wrong guess")
    answer = client.post("/sign-in/", {"email": team.viewer.email, "password": PASSWORD})
    assert answer.status_code == 429
    assert (
        Client(REMOTE_ADDR="203.0.113.10").post("/sign-in/", {"email": "a@b.example", "password": "x"}).status_code
        == 422
    )


@pytest.mark.parametrize(
    ("hops", "header", "expected"),
    [
        (0, "198.51.100.1", "10.0.0.1"),  # nobody may say for themselves where they come from
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        (2, "6.6.6.6, 198.51.100.1, 10.0.0.7", "198.51.100.1"),
        (1, "", "10.0.0.1"),
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (1, "[2001:db8:1:2::9]", "2001:db8:1:2::/64"),
    ],
)
def test_it_believes_only_its_own_proxies(hops: int, header: str, expected: str) -> None:
    headers = {"X-Forwarded-For": header} if header else {}
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR="10.0.0.1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "PROXY_HOPS", hops)
        assert throttle.address_of(request) == expected


def test_it_takes_no_form_without_the_csrf_token(person: User) -> None:
    client = Client(enforce_csrf_checks=True)
    answer = client.post("/sign-in/", {"email": person.email, "password": PASSWORD})
    assert "The form has expired" in Page(answer, 403).text
    assert who(client) == ""


def test_signing_out_needs_a_post_and_ends_the_session(person: User) -> None:
    client = signed_in(person)
    key = client.session.session_key
    assert client.get("/sign-out/").status_code == 405
    assert who(client) == person.name
    page = Page(client.post("/sign-out/", follow=True))
    assert page.notices() == ["You are signed out."]
    assert who(client) == ""
    assert not Session.objects.filter(session_key=key).exists()


def test_an_htmx_request_of_somebody_signed_out_is_sent_to_sign_in(team: Team) -> None:
    headers = {**HTMX, "HX-Current-URL": "http://testserver/p/team/audit/?person=3"}
    answer = Client().get("/p/team/audit/", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/sign-in/?next=/p/team/audit/%3Fperson%3D3"


def test_what_no_longer_counts_is_tidied_away(person: User) -> None:
    signed_in(person)
    stale = signed_in(person)
    Session.objects.filter(session_key=stale.session.session_key).update(expire_date=timezone.now())
    sign_in(Client(), person.email, "a wrong guess")
    SignInFailure.objects.filter(pk=SignInFailure.objects.earliest("pk").pk).update(at=timezone.now() - throttle.KEEP)
    tidy()
    assert Session.objects.count() == 1
    assert SignInFailure.objects.count() == 1


# --- Links -----------------------------------------------------------------------------------------------------------


def test_a_link_is_used_by_its_button_not_by_a_preview_of_it(person: User) -> None:
    url = f"/link/{create_sign_in_link(person)}/"
    robot = Client()
    for _look in range(3):
        assert robot.get(url).status_code == 200
        assert robot.head(url).status_code == 200
    assert who(robot) == ""

    client = Client()
    page = Page(client.get(url))
    assert f"Sign in as {person.name}" in page.text
    assert client.post(url).headers["Location"] == "/"
    assert who(client) == person.name


def test_a_link_works_once(person: User) -> None:
    url = f"/link/{create_sign_in_link(person)}/"
    Client().post(url)
    second = Client()
    assert "not valid" in Page(second.post(url), 404).text
    assert "not valid" in Page(second.get(url), 404).text
    assert who(second) == ""


@pytest.mark.parametrize(
    "change", [{"expires_at": timezone.now() - dt.timedelta(seconds=1)}, {"used_at": timezone.now()}]
)
def test_an_old_link_opens_nothing(person: User, change: dict[str, dt.datetime]) -> None:
    url = f"/link/{create_sign_in_link(person)}/"
    SignInLink.objects.update(**change)
    assert Client().post(url).status_code == 404


def test_a_link_of_somebody_deactivated_opens_nothing(person: User) -> None:
    url = f"/link/{create_sign_in_link(person)}/"
    User.objects.filter(pk=person.pk).update(is_active=False)
    assert Client().post(url).status_code == 404


def test_a_link_replaces_whoever_was_signed_in(person: User, team: Team) -> None:
    client = signed_in(team.viewer)
    url = f"/link/{create_sign_in_link(person)}/"
    assert f"signed in as {team.viewer.name}" in Page(client.get(url)).text
    client.post(url)
    assert who(client) == person.name


def test_a_session_of_somebody_deactivated_ends_at_once(person: User) -> None:
    client = signed_in(person)
    User.objects.filter(pk=person.pk).update(is_active=False)
    assert who(client) == ""


def test_no_log_line_holds_a_link(team: Team, caplog: pytest.LogCaptureFixture) -> None:
    secret = create_sign_in_link(team.viewer)
    Client().post(f"/link/{secret}/")
    Client().get(f"/link/{secret}/")
    lines = [redact(record.getMessage()) for record in caplog.records]
    assert any("/link/" in line for line in lines)
    assert not any(secret in line for line in lines)
    assert redact(f"Unprocessable Entity: /invitations/{secret}/") == "Unprocessable Entity: /invitations/•••"


def test_no_traceback_in_the_log_holds_a_key() -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.addFilter(RedactSecrets())
    logger = logging.getLogger("tests.redaction")
    logger.addHandler(handler)
    try:
        raise ValueError("the server refused Bearer sk-verysecret-0123456789")
    except ValueError:
        logger.exception("It failed")
    finally:
        logger.removeHandler(handler)
    assert "ValueError: the server refused Bearer •••" in written.getvalue()
    assert "verysecret" not in written.getvalue()


# --- The first person -----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_new_installation_says_how_the_first_person_comes_in(capsys: pytest.CaptureFixture[str]) -> None:
    page = Page(Client().get("/", follow=True))
    assert "Nobody has an account yet" in page.text
    assert "manage.py sign_in_link --email" in page.text

    call_command("sign_in_link", email="ada@first.example", name="Ada")
    url = capsys.readouterr().out.strip()
    assert url.startswith(f"{settings.PUBLIC_URL}/link/")
    client = Client()
    client.post(url.removeprefix(settings.PUBLIC_URL))
    assert who(client) == "Ada"
    assert "You are not in a project yet" in Page(client.get("/", follow=True)).text
    assert User.objects.get().is_installation_admin


def test_the_command_makes_nobody_without_a_name(team: Team, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match="add --name"):
        call_command("sign_in_link", email="new@team.example")
    with pytest.raises(CommandError, match="Enter an e-mail address"):
        call_command("sign_in_link", email="not an address", name="X")
    call_command("sign_in_link", email="VIEWER@team.example")
    client = Client()
    client.post(capsys.readouterr().out.strip().removeprefix(settings.PUBLIC_URL))
    assert who(client) == "Viewer"
    assert not create_user(email="second@team.example", name="Second").is_installation_admin
