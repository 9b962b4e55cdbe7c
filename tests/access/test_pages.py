"""Every page with every role: what each may see and do, in its own project and in another one.

The table is written by hand, on purpose: it says what shall be, not what is. A page that is not in it fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLResolver, get_resolver, reverse

from promptops.accounts.models import User
from tests.access.world import ROLES, World, furnish_elsewhere, furnish_team
from tests.people import Team

ANYBODY, PERSON = "anybody", "person"  # no sign-in needed; signed in, whatever the projects


@dataclass(frozen=True)
class Rule:
    """The least role of a page, and by which methods it is asked."""

    role: str
    methods: tuple[str, ...] = ("GET",)
    data: dict[str, Any] = field(default_factory=dict)


GET, POST, BOTH = ("GET",), ("POST",), ("GET", "POST")

TABLE: dict[str, Rule] = {
    "healthz": Rule(ANYBODY),
    "readyz": Rule(ANYBODY),
    "accounts:home": Rule(PERSON),
    "accounts:sign-in": Rule(ANYBODY, BOTH),
    "accounts:sign-out": Rule(ANYBODY, POST),
    "accounts:link": Rule(ANYBODY, BOTH),
    "accounts:invitation": Rule(ANYBODY, BOTH),
    "accounts:profile": Rule(PERSON, BOTH),
    "accounts:password": Rule(PERSON, POST),
    "accounts:sign-out-elsewhere": Rule(PERSON, POST),
    "accounts:projects": Rule(PERSON),
    "accounts:project-create": Rule(PERSON, BOTH),
    "accounts:project-switcher": Rule(PERSON),
    "accounts:project-home": Rule("viewer"),
    "accounts:project-settings": Rule("admin", BOTH),
    "accounts:members": Rule("viewer"),
    "accounts:members-csv": Rule("viewer"),
    "accounts:invite": Rule("admin", POST),
    "accounts:invitation-revoke": Rule("admin", POST),
    "accounts:member": Rule("viewer"),
    "accounts:member-role": Rule("admin", POST),
    "accounts:member-remove": Rule("admin", POST),
    "accounts:member-hand-over": Rule("owner", POST),
    "accounts:member-link": Rule("admin", POST),
    "accounts:tokens": Rule("admin"),
    "accounts:tokens-csv": Rule("admin"),
    "accounts:token-create": Rule("admin", POST),
    "accounts:token-revoke": Rule("admin", POST),
    "accounts:audit": Rule("admin"),
    "accounts:audit-csv": Rule("admin"),
    "accounts:audit-verify": Rule("admin"),
    "notifications:inbox": Rule(PERSON),
    "notifications:count": Rule(PERSON),
    "notifications:read-all": Rule(PERSON, POST),
    "notifications:open": Rule(PERSON),
    "notifications:read": Rule(PERSON, POST),
    "notifications:unread": Rule(PERSON, POST),
    "notifications:email-settings": Rule(PERSON, BOTH),
    "notifications:webhooks": Rule("admin"),
    "notifications:webhook-create": Rule("admin", BOTH),
    "notifications:webhook": Rule("admin", BOTH),
    "notifications:webhook-rotate": Rule("admin", POST),
    "notifications:webhook-test": Rule("admin", POST),
    "notifications:webhook-delete": Rule("admin", POST),
    "notifications:deliveries": Rule("admin"),
    "notifications:deliveries-csv": Rule("admin"),
    "notifications:delivery": Rule("admin"),
    "notifications:redeliver": Rule("admin", POST),
    "catalog:endpoint-list": Rule("viewer"),
    "catalog:endpoint-list-csv": Rule("viewer"),
    "catalog:endpoint-create": Rule("admin", BOTH),
    "catalog:endpoint-detail": Rule("viewer"),
    "catalog:endpoint-edit": Rule("admin", BOTH),
    "catalog:endpoint-archive": Rule("admin", POST),
    "catalog:endpoint-restore": Rule("admin", POST),
    "catalog:endpoint-default": Rule("admin", POST),
    "catalog:endpoint-refresh-price": Rule("admin", POST),
    "catalog:credential-list": Rule("admin"),
    "catalog:credential-list-csv": Rule("admin"),
    "catalog:credential-create": Rule("admin", BOTH),
    "catalog:credential-edit": Rule("admin", BOTH),
    "catalog:credential-archive": Rule("admin", POST),
    "catalog:credential-test": Rule("admin", POST),
    "prompts:list": Rule("viewer"),
    "prompts:list-csv": Rule("viewer"),
    "prompts:search": Rule("viewer"),
    "prompts:home-panel": Rule("viewer"),
    "prompts:create": Rule("editor"),
    "prompts:detail": Rule("viewer"),
    "prompts:preview": Rule("editor", POST),
    "prompts:draft": Rule("editor", ("PUT",), {"revision": 0, "content": {}}),
    "prompts:save": Rule("editor", POST),
    "prompts:discard": Rule("editor", POST),
    "prompts:bring-back": Rule("editor", POST),
    "prompts:rebase": Rule("editor", POST),
    "prompts:versions": Rule("viewer"),
    "prompts:versions-csv": Rule("viewer"),
    "prompts:version-detail": Rule("viewer"),
    "prompts:edit-from": Rule("editor", POST),
    "prompts:diff": Rule("viewer"),
    "prompts:labels": Rule("viewer"),
    "prompts:includable": Rule("viewer"),
    "prompts:label-move": Rule("editor", BOTH),
    "prompts:label-history": Rule("viewer"),
    "prompts:label-history-csv": Rule("viewer"),
    "prompts:label-rollback": Rule("editor", POST),
    "prompts:label-remove": Rule("editor", POST),
    "prompts:settings": Rule("viewer"),
    "prompts:archive": Rule("editor", POST),
    "prompts:restore": Rule("editor", POST),
    "prompts:changes": Rule("editor", POST),
    "reviews:list": Rule("viewer"),
    "reviews:list-csv": Rule("viewer"),
    "reviews:home-panel": Rule("viewer"),
    "reviews:propose": Rule("editor", BOTH),
    "reviews:detail": Rule("viewer"),
    "reviews:message": Rule("viewer"),
    "reviews:edit": Rule("editor", BOTH),
    "reviews:comment": Rule("editor", POST),
    "reviews:resolve": Rule("editor", POST),
    "reviews:unresolve": Rule("editor", POST),
    "reviews:apply": Rule("editor", POST),
    "reviews:verdict": Rule("reviewer", POST),
    "reviews:dismiss": Rule("reviewer", POST),
    "reviews:merge": Rule("editor", POST),
    "reviews:rebase": Rule("editor", BOTH),
    "reviews:amend": Rule("editor", POST),
    "reviews:request-review": Rule("editor", POST),
    "reviews:withdraw": Rule("editor", POST),
    "reviews:reject": Rule("reviewer", POST),
    "reviews:reopen": Rule("editor", POST),
    "reviews:break-glass": Rule("owner", POST),
    "reviews:policies": Rule("viewer"),
    "reviews:policy-set": Rule("admin", BOTH),
    "reviews:policy-remove": Rule("admin", POST),
    "reviews:owners-set": Rule("admin", BOTH),
    "runs:list": Rule("viewer"),
    "runs:list-csv": Rule("viewer"),
    "runs:home-panel": Rule("viewer"),
    "runs:prompt-runs": Rule("viewer"),
    "runs:batch-list": Rule("viewer"),
    "runs:batch-list-csv": Rule("viewer"),
    "runs:batch-detail": Rule("viewer"),
    "runs:batch-pause": Rule("editor", POST),
    "runs:batch-resume": Rule("editor", POST),
    "runs:batch-cancel": Rule("editor", POST),
    "runs:start": Rule("editor", POST),
    "runs:stream": Rule("viewer"),
    "runs:callers-panel": Rule("viewer"),
    "runs:recent-panel": Rule("viewer"),
    "runs:detail": Rule("viewer"),
    "runs:panel": Rule("viewer"),
    "runs:cancel": Rule("editor", POST),
    "runs:replay": Rule("editor", POST),
    "runs:edit-from": Rule("editor", POST),
}


def routes() -> Iterator[tuple[str, frozenset[str]]]:
    """Every named page with the placeholders of its address; the API has a table of its own."""

    def walk(
        resolver: URLResolver, spaces: tuple[str, ...], around: frozenset[str]
    ) -> Iterator[tuple[str, frozenset[str]]]:
        for one in resolver.url_patterns:
            placeholders = around | frozenset(one.pattern.converters)
            if not isinstance(one, URLResolver):
                yield ":".join([*spaces, str(one.name)]), placeholders
            elif one.namespace != "api":
                yield from walk(one, (*spaces, one.namespace) if one.namespace else spaces, placeholders)

    yield from walk(get_resolver(), (), frozenset())


PAGES = dict(routes())


def url_of(name: str, names: dict[str, Any]) -> str:
    """The address, with the placeholders filled from the world."""
    known = dict(names)
    if name.startswith("catalog:"):
        known |= {"slug": names["endpoint"], "pk": names["credential_id"]}
    if name.startswith("notifications:"):
        known |= {"pk": names["webhook_id"]}
    if name.startswith("reviews:"):
        known |= {"number": names["change"], "place": 0}
    kwargs = {key: known[key] for key in PAGES[name] if key in known}
    if "secret" in PAGES[name]:
        kwargs["secret"] = "no-such-secret"
    url = reverse(name, kwargs=kwargs)
    return f"{url}?run={names['run_id']}" if name == "runs:stream" else url


def ask(person: User | None, name: str, method: str, names: dict[str, Any]) -> int:
    """Ask as a person (None: nobody), undo what it did, and return the status."""
    client = Client()
    with transaction.atomic():
        if person is not None:
            client.force_login(person)
        url = url_of(name, names)
        given = TABLE[name].data
        if method == "PUT":
            answer = client.put(url, given, content_type="application/json")
        else:
            answer = client.get(url) if method == "GET" else client.post(url, given)
        transaction.set_rollback(True)
    if answer.status_code == 302 and answer["Location"].startswith("/sign-in/"):
        return 401
    return answer.status_code


@pytest.fixture
def world(team: Team) -> World:
    return furnish_team(team)


def test_every_page_stands_in_the_table() -> None:
    assert set(PAGES) == set(TABLE)


@pytest.mark.parametrize("role", ROLES)
def test_a_member_may_what_the_role_may(team: Team, world: World, role: str) -> None:
    wrong = []
    for name, rule in TABLE.items():
        if rule.role not in ROLES:
            continue
        allowed = ROLES.index(role) >= ROLES.index(rule.role)
        for method in rule.methods:
            status = ask(getattr(team, role), name, method, world.names())
            if status >= 500 or (status in (401, 403, 404, 405)) == allowed or (not allowed and status != 403):
                wrong.append((name, method, "allowed" if allowed else "refused", status))
    assert not wrong, wrong


def test_an_outsider_finds_nothing(team: Team, world: World) -> None:
    for name, rule in TABLE.items():
        for method in rule.methods if rule.role in ROLES else ():
            assert ask(team.outsider, name, method, world.names()) == 404, (name, method)


def test_nobody_is_sent_to_sign_in(team: Team, world: World) -> None:
    for name, rule in TABLE.items():
        for method in rule.methods if rule.role != ANYBODY else ():
            assert ask(None, name, method, world.names()) == 401, (name, method)


def test_what_belongs_to_another_project_is_not_there(team: Team, world: World) -> None:
    foreign = {**furnish_elsewhere(team).names(), "project_slug": team.project.slug}
    for name, rule in TABLE.items():
        objects = PAGES[name] - {"project_slug", "secret"}
        for method in rule.methods if objects else ():
            assert ask(team.owner, name, method, foreign) == 404, (name, method)


def test_a_form_without_its_token_is_refused(team: Team, world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(team.owner)
    for name, rule in TABLE.items():
        if "POST" in rule.methods:
            assert client.post(url_of(name, world.names())).status_code == 403, name
