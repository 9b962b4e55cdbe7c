"""A person's own page: name, language, theme, password, sessions."""

import pytest
from django.test import Client
from django.utils import translation

from promptops.accounts import throttle
from promptops.accounts.models import User
from promptops.accounts.services import create_sign_in_link
from tests.html import Page, signed_in
from tests.people import Team

OLD, NEW = "the old password", "a much newer one"


@pytest.fixture
def person(team: Team) -> User:
    team.editor.set_password(OLD)
    team.editor.save()
    return team.editor


def is_in(client: Client) -> bool:
    return client.get("/profile/").status_code == 200


def test_it_changes_name_and_theme(person: User) -> None:
    client = signed_in(person)
    answer = client.post("/profile/", {"name": "  Edda  ", "language": "auto", "theme": "dark"})
    assert answer.status_code == 302
    person.refresh_from_db()
    assert (person.name, person.theme) == ("Edda", "dark")
    page = Page(client.get("/profile/"))
    assert page.one("html").attributes["data-theme"] == "dark"
    assert page.notices() == ["Your profile is saved."]
    assert Page(signed_in(person).get("/profile/")).one("html").attributes["data-theme"] == "dark"


def test_a_browsers_own_theme_goes_before_the_persons(person: User) -> None:
    client = signed_in(person)
    client.post("/profile/", {"name": "E", "language": "auto", "theme": "light"})
    client.cookies["theme"] = "dark"
    assert Page(client.get("/profile/")).one("html").attributes["data-theme"] == "dark"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"name": " ", "theme": "dark", "language": "auto"}, "required"),
        ({"name": "E", "theme": "pink", "language": "auto"}, "Select a valid choice"),
        ({"name": "E", "theme": "dark", "language": "tlh"}, "Select a valid choice"),
        ({"name": "x" * 121, "theme": "dark", "language": "auto"}, "at most 120 characters"),
    ],
)
def test_it_refuses_with_the_form_as_it_was_typed(person: User, given: dict[str, str], complaint: str) -> None:
    page = Page(signed_in(person).post("/profile/", given), 422)
    assert complaint in page.errors()
    assert page.values()["name"] == given["name"]
    person.refresh_from_db()
    assert person.name == "Editor"


def test_a_name_is_text_wherever_it_stands(person: User) -> None:
    client = signed_in(person)
    client.post("/profile/", {"name": "<img src=x onerror=alert(1)>", "language": "auto", "theme": "auto"})
    for url in ("/profile/", "/p/team/", "/p/team/settings/members/", f"/link/{create_sign_in_link(person)}/"):
        page = Page(client.get(url))
        assert "<img src=x" not in page.source
        assert "<img src=x onerror=alert(1)>" in page.source.replace("&lt;", "<").replace("&gt;", ">")


def test_a_new_password_needs_the_present_one(person: User) -> None:
    client = signed_in(person)
    page = Page(client.post("/profile/password/", {"current": "a guess", "password": NEW}), 422)
    assert "not your present password" in page.errors()
    page = Page(client.post("/profile/password/", {"password": NEW}), 422)
    assert "required" in page.errors()
    assert client.post("/profile/password/", {"current": OLD, "password": NEW}).status_code == 302
    person.refresh_from_db()
    assert person.check_password(NEW)


@pytest.mark.parametrize("weak", ["short", "password123", "1234567890", "editor@team"])
def test_a_weak_password_is_refused_and_not_shown_again(person: User, weak: str) -> None:
    page = Page(signed_in(person).post("/profile/password/", {"current": OLD, "password": weak}), 422)
    assert page.errors()
    assert f'value="{weak}"' not in page.source
    person.refresh_from_db()
    assert person.check_password(OLD)


def test_guessing_the_present_password_is_slowed_down(person: User) -> None:
    client = signed_in(person)
    for _guess in range(throttle.MAX_PER_ACCOUNT):
        client.post("/profile/password/", {"current": "a guess", "password": NEW})
    answer = client.post("/profile/password/", {"current": OLD, "password": NEW})
    assert answer.status_code == 429


def test_a_changed_password_ends_the_other_sessions(person: User) -> None:
    here, elsewhere = signed_in(person), signed_in(person)
    here.post("/profile/password/", {"current": OLD, "password": NEW})
    assert is_in(here)
    assert not is_in(elsewhere)


def test_whoever_came_by_a_link_chooses_a_password_without_the_old_one(person: User) -> None:
    client = Client()
    client.post(f"/link/{create_sign_in_link(person)}/")
    page = Page(client.get("/profile/"))
    assert not page.all(id="id_current")
    assert client.post("/profile/password/", {"password": NEW}).status_code == 302
    person.refresh_from_db()
    assert person.check_password(NEW)

    assert client.post("/profile/password/", {"password": OLD + "!"}).status_code == 422  # once is enough


def test_a_link_of_an_hour_ago_is_no_reason_to_skip_the_old_password(person: User) -> None:
    client = Client()
    client.post(f"/link/{create_sign_in_link(person)}/")
    session = client.session
    session["signed_in_by_link_at"] -= 3601
    session.save()
    assert client.post("/profile/password/", {"password": NEW}).status_code == 422


def test_somebody_without_a_password_can_choose_one(team: Team) -> None:
    client = signed_in(team.viewer)
    assert "have no password yet" in Page(client.get("/profile/")).text
    assert client.post("/profile/password/", {"password": NEW}).status_code == 302
    team.viewer.refresh_from_db()
    assert team.viewer.check_password(NEW)


def test_it_signs_out_everywhere_else(person: User) -> None:
    here, elsewhere = signed_in(person), signed_in(person)
    assert here.get("/profile/sign-out-elsewhere/").status_code == 405
    assert is_in(elsewhere)
    here.post("/profile/sign-out-elsewhere/")
    assert is_in(here)
    assert not is_in(elsewhere)
    person.refresh_from_db()
    assert person.check_password(OLD)


def test_the_chosen_language_goes_before_the_browsers(person: User, settings: object) -> None:
    settings.LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("fr", "Français")]  # type: ignore[attr-defined]
    client = signed_in(person)
    french = {"Accept-Language": "fr"}
    try:
        page = Page(client.post("/profile/", {"name": "", "theme": "dark"}, headers=french), 422)
        assert "Ce champ est obligatoire." in page.errors()

        client.post("/profile/", {"name": "E", "theme": "dark", "language": "de"})
        answer = client.post("/profile/", {"name": "", "theme": "dark"}, headers=french)
        page = Page(answer, 422)
        assert "Dieses Feld ist zwingend erforderlich." in page.errors()
        assert page.one("html").attributes["lang"] == "de"
        assert answer.headers["Content-Language"] == "de"

        other = Page(signed_in(User.objects.get(email="viewer@team.example")).get("/profile/", headers=french))
        assert other.one("html").attributes["lang"] == "fr"
    finally:
        translation.activate("en")


def test_only_languages_with_a_catalogue_are_offered(person: User) -> None:
    page = Page(signed_in(person).get("/profile/", headers={"Accept-Language": "zh-CN"}))
    assert [one.attributes["value"] for one in page.one("select", id="id_language").all("option")] == ["auto", "en"]
    assert page.one("html").attributes["lang"] == "en"
