"""Every REST operation with a token of every role: what each may do, in its own project and in another one.

The table is written by hand, on purpose: it says what shall be, not what is. An operation that is not in it fails.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from promptops.accounts.actors import user_actor
from promptops.accounts.tokens import create_token
from promptops.api import api
from tests.access.world import World, furnish_elsewhere, furnish_team
from tests.api.client import chat
from tests.people import Team

TOKEN_ROLES = ("viewer", "editor", "reviewer", "admin")
NOBODY = "nobody"  # no token may: it is a person's
CHAT = chat(text="Greet {{ name }} and {{ shop }}")


@dataclass(frozen=True)
class Rule:
    """The least role of an operation, with a body that is fit to get past the parser."""

    role: str
    body: Any = None
    query: str = ""


TABLE: dict[str, Rule] = {
    "GET /me": Rule("viewer"),
    "GET /prompts": Rule("viewer"),
    "POST /prompts": Rule("editor", {"slug": "fresh", **CHAT}),
    "GET /prompts/{slug}": Rule("viewer"),
    "PATCH /prompts/{slug}": Rule("editor", {"description": "new"}),
    "POST /prompts/{slug}/archive": Rule("editor"),
    "POST /prompts/{slug}/restore": Rule("editor"),
    "GET /prompts/{slug}/resolve": Rule("viewer"),
    "GET /prompts/{slug}/dependents": Rule("viewer"),
    "GET /prompts/{slug}/versions": Rule("viewer"),
    "POST /prompts/{slug}/versions": Rule("editor", CHAT),
    "GET /prompts/{slug}/versions/{number}": Rule("viewer"),
    "GET /prompts/{slug}/diff": Rule("viewer", query="from=1&to=2"),
    "GET /prompts/{slug}/labels": Rule("viewer"),
    "PUT /prompts/{slug}/labels/{label}": Rule("editor", {"version": 2}),
    "DELETE /prompts/{slug}/labels/{label}": Rule("editor"),
    "GET /prompts/{slug}/labels/{label}/history": Rule("viewer"),
    "POST /prompts/{slug}/labels/{label}/rollback": Rule("editor", {}),
    "GET /changes": Rule("viewer"),
    "POST /changes": Rule("editor", {"prompt": "own-prompt", "version": 2, "label": "fresh"}),
    "GET /changes/{change}": Rule("viewer"),
    "PATCH /changes/{change}": Rule("editor", {"title": "New"}),
    "PUT /changes/{change}/candidate": Rule("editor", {"version": 2}),
    "POST /changes/{change}/verdicts": Rule("reviewer", {"verdict": "request_changes", "body": "Shorter, please"}),
    "POST /changes/{change}/merge": Rule("editor"),
    "POST /changes/{change}/rebase": Rule("editor", {}),
    "POST /changes/{change}/withdraw": Rule("admin", {}),  # by others than its author
    "POST /changes/{change}/reject": Rule("reviewer", {"reason": "No"}),
    "POST /changes/{change}/break-glass": Rule(NOBODY, {"reason": "Now"}),
    "GET /changes/{change}/comments": Rule("viewer"),
    "POST /changes/{change}/comments": Rule("editor", {"body": "Why?"}),
    "POST /changes/{change}/comments/{comment_id}/resolve": Rule("editor"),
    "POST /changes/{change}/comments/{comment_id}/apply": Rule("editor"),
    "GET /label-policies": Rule("viewer"),
    "PUT /label-policies": Rule("admin", {"label": "guarded", "required_approvals": 2}),
    "DELETE /label-policies": Rule("admin", query="label=guarded"),
    "GET /code-owners": Rule("viewer"),
    "PUT /code-owners": Rule("admin", {"folder": "billing", "people": []}),
    "POST /render": Rule("viewer", {"prompt": "own-prompt", "variables": {"name": "Ada"}}),
    "GET /drafts": Rule("editor"),
    "POST /drafts": Rule("editor", {"content": CHAT}),
    "GET /drafts/{draft_id}": Rule("editor"),
    "PUT /drafts/{draft_id}": Rule("editor", {"revision": 1, "content": CHAT}),
    "DELETE /drafts/{draft_id}": Rule("editor"),
    "POST /drafts/{draft_id}/commit": Rule("editor", {"revision": 1}),
    "POST /drafts/{draft_id}/rebase": Rule("editor", {"version": 2}),
    "GET /runs": Rule("viewer"),
    "POST /runs": Rule("editor", {"prompt": "own-prompt", "endpoint": "own-endpoint", "variables": {"name": "Ada"}}),
    "GET /runs/{run_id}": Rule("viewer"),
    "GET /runs/{run_id}/events": Rule("viewer"),
    "POST /runs/{run_id}/cancel": Rule("editor"),
    "POST /runs/{run_id}/replay": Rule("editor", {}),
    "GET /runs/batch": Rule("viewer"),
    "POST /runs/batch": Rule(
        "editor",
        {"prompt": "own-prompt", "endpoint": "own-endpoint", "items": [{"variables": {"name": "Ada"}}]},
    ),
    "GET /runs/batch/{batch_id}": Rule("viewer"),
    "POST /runs/batch/{batch_id}/cancel": Rule("editor"),
    "POST /runs/batch/{batch_id}/pause": Rule("editor"),
    "POST /runs/batch/{batch_id}/resume": Rule("editor"),
    "GET /endpoints": Rule("viewer"),
    "POST /endpoints": Rule(
        "admin", {"slug": "fresh", "name": "Fresh", "provider": "local", "model_name": "smollm2-135m-instruct"}
    ),
    "GET /endpoints/{endpoint}": Rule("viewer"),
    "PATCH /endpoints/{endpoint}": Rule("admin", {"name": "New"}),
    "POST /endpoints/{endpoint}/archive": Rule("admin"),
    "POST /endpoints/{endpoint}/restore": Rule("admin"),
    "POST /endpoints/{endpoint}/default": Rule("admin"),
    "POST /endpoints/{endpoint}/refresh-price": Rule("admin"),
    "GET /credentials": Rule("admin"),
    "POST /credentials": Rule("admin", {"name": "fresh", "provider": "openai", "api_key": "sk-9876543210"}),
    "GET /credentials/{credential_id}": Rule("admin"),
    "PATCH /credentials/{credential_id}": Rule("admin", {"name": "new"}),
    "POST /credentials/{credential_id}/archive": Rule("admin"),
    "POST /credentials/{credential_id}/test": Rule("admin"),
    "GET /notifications": Rule("viewer"),
    "POST /notifications/{notification_id}/read": Rule("viewer"),
    "GET /webhooks": Rule("admin"),
    "POST /webhooks": Rule("admin", {"url": "https://hooks.example.com/", "events": ["label.moved"]}),
    "GET /webhooks/{webhook_id}": Rule("admin"),
    "PATCH /webhooks/{webhook_id}": Rule("admin", {"description": "new"}),
    "DELETE /webhooks/{webhook_id}": Rule("admin"),
    "POST /webhooks/{webhook_id}/rotate": Rule("admin"),
    "POST /webhooks/{webhook_id}/test": Rule("admin"),
    "GET /webhooks/{webhook_id}/deliveries": Rule("admin"),
    "GET /webhooks/{webhook_id}/deliveries/{delivery_id}": Rule("admin"),
    "POST /webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver": Rule("admin"),
    "GET /members": Rule("viewer"),
    "PATCH /members/{member_id}": Rule("admin", {"role": "editor"}),
    "DELETE /members/{member_id}": Rule("admin"),
    "GET /invitations": Rule("admin"),
    "POST /invitations": Rule("admin", {"role": "viewer"}),
    "DELETE /invitations/{invitation_id}": Rule("admin"),
    "GET /tokens": Rule("admin"),
    "POST /tokens": Rule("admin", {"name": "fresh", "role": "admin"}),
    "GET /tokens/{token_id}": Rule("admin"),
    "DELETE /tokens/{token_id}": Rule("admin"),
    "GET /audit": Rule("admin"),
    "GET /audit/verify": Rule("admin"),
}
OBJECTS = {name for name in TABLE if "{" in name}


def described() -> dict[str, str]:
    """Every operation of the API by the name that the table has for it, with its path."""
    found = {}
    for path, methods in api.get_openapi_schema(path_prefix="/api/v1/")["paths"].items():
        for method in methods:
            short = path.removeprefix("/api/v1")
            short = short.replace("/endpoints/{slug}", "/endpoints/{endpoint}")
            short = short.replace("/changes/{number}", "/changes/{change}")
            found[f"{method.upper()} {short}"] = f"/api/v1{short}"
    return found


def test_every_operation_stands_in_the_table() -> None:
    assert set(described()) == set(TABLE)


def send(secret: str | None, name: str, names: dict[str, Any]) -> Any:
    """Send the request of a rule, undo what it did, and return the answer."""
    rule = TABLE[name]
    method, path = name.split(" ", 1)
    body = b"" if rule.body is None else json.dumps(rule.body).encode()
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    url = f"/api/v1{path.format(**names)}?{rule.query}"
    with transaction.atomic():
        answer = Client().generic(method, url, body, content_type="application/json", headers=headers)
        transaction.set_rollback(True)
    return answer


def secret_of(team: Team, role: str, *, maker: str = "owner") -> str:
    """A token of that role. It counts as its maker: by default the owner, whose draft the world holds."""
    return create_token(user_actor(getattr(team, maker)), team.project, name=role, role=role)[1]


@pytest.fixture
def world(team: Team) -> World:
    return furnish_team(team)


@pytest.mark.parametrize("role", TOKEN_ROLES)
def test_a_token_may_what_its_role_may(team: Team, world: World, role: str) -> None:
    secret = secret_of(team, role)
    wrong = []
    for name, rule in TABLE.items():
        status = send(secret, name, world.names()).status_code
        allowed = rule.role != NOBODY and TOKEN_ROLES.index(role) >= TOKEN_ROLES.index(rule.role)
        if status >= 500 or (status in (401, 403, 404)) == allowed or (not allowed and status != 403):
            wrong.append((name, "allowed" if allowed else "refused", status))
    assert not wrong, wrong


def test_a_draft_is_not_there_for_colleagues(team: Team, world: World) -> None:
    secret = secret_of(team, "admin", maker="admin")
    for name in TABLE:
        if "{draft_id}" in name:
            assert send(secret, name, world.names()).status_code == 404, name


def test_without_a_token_nothing_is_answered(team: Team, world: World) -> None:
    for name in TABLE:
        for secret in (None, "po_not-a-token"):
            answer = send(secret, name, world.names())
            assert answer.status_code == 401, (name, answer.status_code)
            assert answer["WWW-Authenticate"].startswith("Bearer")


def test_what_belongs_to_another_project_is_not_there(team: Team, world: World) -> None:
    foreign = furnish_elsewhere(team)
    secret = secret_of(team, "admin")
    for name in OBJECTS:
        answer = send(secret, name, foreign.names())
        assert answer.status_code == 404, (name, answer.status_code, answer.content[:200])


def test_scopes_narrow_what_a_role_may(team: Team, world: World) -> None:
    needed = {"read": "GET /prompts", "run": "POST /runs", "write": "POST /prompts", "admin": "POST /tokens"}
    for scope, operation in needed.items():
        secret = create_token(team.actor("owner"), team.project, name=scope, role="admin", scopes=[scope])[1]
        for other, name in needed.items():
            answer = send(secret, name, world.names())
            assert (answer.status_code < 300) == (scope == other), (scope, operation, name, answer.content[:200])


def test_a_session_of_a_browser_opens_nothing(team: Team, world: World) -> None:
    client = Client()
    client.force_login(team.owner)
    assert client.get("/api/v1/prompts").status_code == 401
