"""The page of API tokens: making one, showing its secret once, revoking."""

import datetime as dt

import pytest
from django.test import Client
from django.utils import timezone

from promptops.accounts.models import ApiToken
from promptops.accounts.tokens import create_token, revoke_token
from tests.html import HTMX, Page, csv_rows, signed_in
from tests.people import Team

LIST = "/p/team/settings/tokens/"
NEW = f"{LIST}new/"
GIVEN = {"name": "checkout", "access": "run", "days": "90"}


def names(page: Page) -> list[str]:
    return [one.text.split(" po_")[0] for one in page.all("th", scope="row")]


def test_the_secret_is_shown_once_with_a_call_that_works(team: Team) -> None:
    client = signed_in(team.admin)
    answer = client.post(NEW, GIVEN, headers=HTMX)
    page = Page(answer)
    assert not page.is_whole
    assert "no-store" in answer.headers["Cache-Control"]
    secret = page.one("input", id="token-secret").attributes["value"]
    assert f'"Authorization: Bearer {secret}"' in page.one("pre", id="token-call").text

    told = Client().get("/api/v1/me", headers={"Authorization": f"Bearer {secret}"}).json()
    assert (told["project"]["slug"], told["role"], told["scopes"]) == ("team", "editor", ["read", "run"])
    token = ApiToken.objects.get()
    assert token.created_by == team.admin
    assert token.expires_at is not None
    assert dt.timedelta(days=89) < token.expires_at - timezone.now() < dt.timedelta(days=91)

    for url in (LIST, NEW, "/p/team/", "/p/team/audit/"):
        assert secret not in Page(client.get(url)).source
    assert secret[:10] in Page(client.get(LIST)).text
    assert secret not in str(list(ApiToken.objects.values()))


def test_it_works_without_scripts(team: Team) -> None:
    page = Page(signed_in(team.admin).post(NEW, GIVEN))
    assert page.is_whole
    assert page.one("input", id="token-secret").attributes["value"].startswith("po_")


@pytest.mark.parametrize(
    ("access", "role", "scopes"),
    [
        ("fetch", "viewer", ["read"]),
        ("run", "editor", ["read", "run"]),
        ("write", "editor", ["read", "run", "write"]),
        ("admin", "admin", ["read", "run", "write", "admin"]),
    ],
)
def test_what_it_is_for_decides_role_and_scopes(team: Team, access: str, role: str, scopes: list[str]) -> None:
    assert signed_in(team.owner).post(NEW, {**GIVEN, "access": access, "days": "never"}).status_code == 200
    token = ApiToken.objects.get()
    assert (token.role, token.scopes, token.expires_at) == (role, scopes, None)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"name": " "}, "required"), ({"access": "everything"}, "valid choice"), ({"days": "36500"}, "valid choice")],
)
def test_it_refuses_with_the_form_as_it_was_typed(team: Team, change: dict[str, str], field: str) -> None:
    page = Page(signed_in(team.admin).post(NEW, {**GIVEN, **change}, headers=HTMX), 422)
    assert field in page.errors()
    assert page.values()["name"] == {**GIVEN, **change}["name"]
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("editor", 403), ("reviewer", 403), ("outsider", 404)])
def test_only_admins_see_and_make_tokens(team: Team, role: str, status: int) -> None:
    team.token("viewer")
    pk = ApiToken.objects.get().pk
    client = signed_in(getattr(team, role))
    for url in (LIST, f"{LIST}csv/", NEW):
        assert client.get(url).status_code == status
    assert client.post(NEW, GIVEN).status_code == status
    assert client.post(f"{LIST}{pk}/revoke/").status_code == status
    assert ApiToken.objects.get().revoked_at is None


def test_it_revokes(team: Team) -> None:
    secret = team.token("admin")
    call = {"Authorization": f"Bearer {secret}"}
    assert Client().get("/api/v1/me", headers=call).status_code == 200
    client = signed_in(team.admin)
    pk = ApiToken.objects.get().pk
    page = Page(client.post(f"{LIST}{pk}/revoke/", follow=True))
    assert "is revoked" in page.notices()[0]
    assert Client().get("/api/v1/me", headers=call).status_code == 401
    assert client.post(f"{LIST}{pk}/revoke/").status_code == 302  # twice is no error


def test_an_admin_elsewhere_revokes_nothing_here(team: Team) -> None:
    team.token("admin")
    pk = ApiToken.objects.get().pk
    assert signed_in(team.outsider).post(f"/p/team-elsewhere/settings/tokens/{pk}/revoke/").status_code == 404
    assert ApiToken.objects.get().revoked_at is None


def test_making_and_revoking_need_the_csrf_token(team: Team) -> None:
    team.token("admin")
    client = signed_in(team.admin, enforce_csrf_checks=True)
    assert client.post(NEW, GIVEN).status_code == 403
    assert client.post(f"{LIST}{ApiToken.objects.get().pk}/revoke/").status_code == 403
    assert ApiToken.objects.get().revoked_at is None


def test_it_parts_those_that_work_from_those_that_ended(team: Team) -> None:
    client = signed_in(team.admin)
    assert "No API tokens yet" in Page(client.get(LIST)).text
    admin = team.actor("admin")
    create_token(admin, team.project, name="alive", role="viewer")
    gone, _secret = create_token(admin, team.project, name="gone", role="viewer")
    revoke_token(admin, gone)
    old, _secret = create_token(admin, team.project, name="old", role="viewer")
    ApiToken.objects.filter(pk=old.pk).update(expires_at=timezone.now() - dt.timedelta(days=1))

    assert names(Page(client.get(LIST))) == ["alive"]
    ended = Page(client.get(LIST, {"ended": "1", "sort": "name"}))
    assert names(ended) == ["gone", "old"]
    assert "revoked" in ended.text
    assert "expired" in ended.text
    assert names(Page(client.get(LIST, {"q": "ali"}, headers=HTMX))) == ["alive"]
    assert "Nothing found" in Page(client.get(LIST, {"q": "zzz"})).text


def test_it_sorts_also_by_what_may_be_empty(team: Team) -> None:
    admin, now = team.actor("admin"), timezone.now()
    for name, used, days in (("a", None, 5), ("b", now, None), ("c", now - dt.timedelta(days=1), 1)):
        expires = now + dt.timedelta(days=days) if days else None
        token, _secret = create_token(admin, team.project, name=name, role="viewer", expires_at=expires)
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=used)
    client = signed_in(team.admin)
    assert names(Page(client.get(LIST, {"sort": "-used"}))) == ["b", "c", "a"]
    assert names(Page(client.get(LIST, {"sort": "expires"}))) == ["c", "a", "b"]
    assert names(Page(client.get(LIST))) == ["c", "b", "a"]


def test_it_exports_csv_without_anything_secret(team: Team) -> None:
    secret = team.token("editor", scopes=["read"])
    rows = csv_rows(signed_in(team.admin).get(f"{LIST}csv/"))
    assert dict(zip(rows[0], rows[1], strict=True))["scopes"] == "read"
    assert secret not in str(rows)
    assert ApiToken.objects.get().digest not in str(rows)


def test_names_are_text(team: Team) -> None:
    signed_in(team.admin).post(NEW, {**GIVEN, "name": "<script>alert(1)</script>"})
    page = Page(signed_in(team.admin).get(LIST))
    assert "<script>alert(1)" not in page.source
    assert names(page) == ["<script>alert(1)</script>"]
