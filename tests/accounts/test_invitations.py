"""Inviting by link, and what stands behind the link."""

import datetime as dt

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from promptops.accounts.models import Invitation, Membership, Project, User
from promptops.accounts.services import create_invitation
from tests.html import HTMX, Page, signed_in
from tests.people import Team

SIGN_UP = {"name": "Nova", "email": "nova@new.example", "password": "a password of hers"}


def link(team: Team, role: str = "editor", note: str = "") -> str:
    _made, secret = create_invitation(team.actor("admin"), team.project, role=role, note=note)
    return f"/invitations/{secret}/"


def role_of(user: User, project: Project) -> str | None:
    return Membership.objects.filter(project=project, user=user).values_list("role", flat=True).first()


# --- Making one ------------------------------------------------------------------------------------------------------


def test_it_shows_the_link_once(team: Team) -> None:
    client = signed_in(team.admin)
    answer = client.post("/p/team/settings/members/invite/", {"role": "reviewer", "note": "Zed <b>"}, headers=HTMX)
    page = Page(answer)
    assert not page.is_whole
    assert "no-store" in answer.headers["Cache-Control"]
    shown = page.one("input", id="invitation-link").attributes["value"]
    secret = shown.removeprefix(f"{settings.PUBLIC_URL}/invitations/").rstrip("/")
    assert len(secret) > 40
    assert "Zed <b>" in page.text

    again = Page(client.get("/p/team/settings/members/"))
    assert secret not in again.source
    assert "Zed <b>" in again.text
    assert secret not in str(list(Invitation.objects.values()))


def test_it_works_without_scripts(team: Team) -> None:
    page = Page(signed_in(team.admin).post("/p/team/settings/members/invite/", {"role": "viewer"}))
    assert page.is_whole
    assert page.one("input", id="invitation-link").attributes["value"].startswith(settings.PUBLIC_URL)
    assert "Barbara" not in page.text
    assert "viewer@team.example" in page.text


@pytest.mark.parametrize("role", ["owner", "king", ""])
def test_it_gives_no_role_that_cannot_be_given(team: Team, role: str) -> None:
    answer = signed_in(team.owner).post(
        "/p/team/settings/members/invite/", {"role": role, "note": "for Zed"}, headers=HTMX
    )
    page = Page(answer, 422)
    assert page.errors()
    assert page.values()["note"] == "for Zed"
    assert not Invitation.objects.exists()


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("editor", 403), ("reviewer", 403), ("outsider", 404)])
def test_only_admins_invite_and_revoke(team: Team, role: str, status: int) -> None:
    link(team)
    client = signed_in(getattr(team, role))
    assert client.post("/p/team/settings/members/invite/", {"role": "viewer"}).status_code == status
    pk = Invitation.objects.get().pk
    assert client.post(f"/p/team/settings/members/invitations/{pk}/revoke/").status_code == status
    assert Invitation.objects.get().revoked_at is None


def test_an_admin_of_another_project_cannot_revoke_it(team: Team) -> None:
    url = link(team)
    pk = Invitation.objects.get().pk
    answer = signed_in(team.outsider).post(f"/p/team-elsewhere/settings/members/invitations/{pk}/revoke/")
    assert answer.status_code == 404
    assert Client().get(url).status_code == 200


def test_a_revoked_one_opens_nothing(team: Team) -> None:
    url = link(team)
    pk = Invitation.objects.get().pk
    client = signed_in(team.admin)
    page = Page(client.post(f"/p/team/settings/members/invitations/{pk}/revoke/", follow=True))
    assert page.notices() == ["The invitation is revoked; its link opens nothing."]
    assert "Open invitations" not in page.text
    assert Client().get(url).status_code == 404
    assert Client().post(url, SIGN_UP).status_code == 404
    assert not User.objects.filter(email=SIGN_UP["email"]).exists()
    assert client.post(f"/p/team/settings/members/invitations/{pk}/revoke/").status_code == 404


# --- Following one ---------------------------------------------------------------------------------------------------


def test_somebody_new_makes_an_account_and_is_in(team: Team) -> None:
    client = Client()
    url = link(team)
    page = Page(client.get(url))
    assert "Join Project team" in page.text
    assert "Admin invites you." in page.text
    answer = client.post(url, SIGN_UP)
    assert answer.headers["Location"] == "/p/team/"
    nova = User.objects.get(email=SIGN_UP["email"])
    assert role_of(nova, team.project) == "editor"
    assert not nova.is_installation_admin
    assert Page(client.get("/p/team/")).notices() == ["Welcome to Project team. Your role is “Editor”."]
    assert Client().post("/sign-in/", {"email": SIGN_UP["email"], "password": SIGN_UP["password"]}).status_code == 302


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"email": "VIEWER@team.example"}, "Somebody has an account"),
        ({"email": "no address"}, "valid email"),
        ({"name": " "}, "required"),
        ({"password": "short"}, "too short"),
        ({"password": "password123"}, "too common"),
    ],
)
def test_a_refused_account_leaves_the_invitation_open(team: Team, change: dict[str, str], complaint: str) -> None:
    url = link(team)
    given = {**SIGN_UP, **change}
    page = Page(Client().post(url, given), 422)
    assert complaint in page.errors()
    assert page.values()["email"] == given["email"]
    assert page.values()["password"] == ""
    assert Client().post(url, SIGN_UP).status_code == 302


def test_somebody_signed_in_joins_by_a_button(team: Team) -> None:
    url = link(team, role="viewer")
    client = signed_in(team.outsider)
    page = Page(client.get(url))
    assert "Join as Outsider" in page.text
    assert not page.content.all("input", type="password")
    assert role_of(team.outsider, team.project) is None  # a look does not use it up
    client.post(url)
    assert role_of(team.outsider, team.project) == "viewer"


def test_somebody_with_an_account_signs_in_and_comes_back(team: Team) -> None:
    team.outsider.set_password("the long password")
    team.outsider.save()
    url = link(team)
    client = Client()
    page = Page(client.get(Page(client.get(url)).link("Sign in and join")))
    form = {**page.values(), "email": team.outsider.email, "password": "the long password"}
    assert client.post("/sign-in/", form).headers["Location"] == url
    client.post(url)
    assert role_of(team.outsider, team.project) == "editor"


def test_it_works_once(team: Team) -> None:
    url = link(team)
    Client().post(url, SIGN_UP)
    second = signed_in(team.outsider)
    assert "not valid" in Page(second.get(url), 404).text
    assert second.post(url).status_code == 404
    assert role_of(team.outsider, team.project) is None


def test_an_old_one_opens_nothing(team: Team) -> None:
    url = link(team)
    Invitation.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    assert Client().get(url).status_code == 404
    assert "Open invitations" not in Page(signed_in(team.admin).get("/p/team/settings/members/")).text


def test_one_of_an_archived_project_opens_nothing(team: Team) -> None:
    url = link(team)
    Project.objects.filter(pk=team.project.pk).update(archived_at=timezone.now())
    assert Client().get(url).status_code == 404


def test_a_member_keeps_the_higher_role_and_the_invitation(team: Team) -> None:
    url = link(team, role="viewer")
    page = Page(signed_in(team.reviewer).get(url))
    assert "You are in this project already, as Reviewer" in page.text
    assert not page.content.all("button", type="submit")

    raised = link(team, role="reviewer")
    client = signed_in(team.viewer)
    assert "joining raises your role" in Page(client.get(raised)).text
    client.post(raised)
    assert role_of(team.viewer, team.project) == "reviewer"


def test_it_takes_no_form_without_the_csrf_token(team: Team) -> None:
    url = link(team)
    client = Client(enforce_csrf_checks=True)
    assert client.post(url, SIGN_UP).status_code == 403
    client.force_login(team.outsider)
    assert client.post(url).status_code == 403
    assert role_of(team.outsider, team.project) is None


def test_names_in_it_are_text(team: Team) -> None:
    Project.objects.filter(pk=team.project.pk).update(name="<script>alert(1)</script>")
    User.objects.filter(pk=team.admin.pk).update(name='"><svg onload=alert(1)>')
    page = Page(Client().get(link(team)))
    assert "<script>alert(1)" not in page.source
    assert "<svg onload" not in page.source
    assert "Join <script>alert(1)</script>" in page.text
