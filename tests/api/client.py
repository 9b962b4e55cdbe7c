"""A caller of REST, as an integrator would write one, over Django's test client."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from django.test import Client

from promptops.accounts import services as accounts
from promptops.accounts.actors import user_actor
from promptops.accounts.models import ApiToken, Project, User
from promptops.accounts.tokens import create_token

CHAT = {
    "kind": "chat",
    "syntax": "jinja",
    "messages": [
        {"role": "system", "content": "You answer customers of {{ shop }}."},
        {"role": "user", "content": "{{ question }}"},
    ],
    "parameters": {"temperature": 0.2},
}


def chat(**changes: Any) -> dict[str, Any]:
    """A version's body; ``text`` replaces the last message."""
    text = changes.pop("text", None)
    body = json.loads(json.dumps(CHAT))
    if text is not None:
        body["messages"][-1]["content"] = text
    return {**body, **changes}


@dataclass
class Caller:
    """Calls with one token. Answers are Django's; ``.json()`` parses them."""

    project: Project
    token: ApiToken
    secret: str
    client: Client = field(default_factory=Client)

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Any:
        data = raw if raw is not None else (b"" if body is None else json.dumps(body).encode())
        answer: Any = self.client.generic(
            method,
            path if path.startswith("/api") else f"/api/v1{path}",
            data,
            content_type="application/json",
            headers={"Authorization": f"Bearer {self.secret}", **(headers or {})},
        )
        return answer

    def get(self, path: str, **headers: str) -> Any:
        return self("GET", path, headers=headers)

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        return self("POST", path, {} if body is None else body, headers={"Idempotency-Key": key} if key else None)

    def put(self, path: str, body: Any) -> Any:
        return self("PUT", path, body)

    def patch(self, path: str, body: Any) -> Any:
        return self("PATCH", path, body)

    def delete(self, path: str) -> Any:
        return self("DELETE", path)

    def ok(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """Call, insist on the status, return the JSON."""
        answer = self(method, path, body)
        assert answer.status_code == status, (answer.status_code, answer.content)
        return json.loads(answer.content) if answer.content else None

    def make_prompt(self, slug: str = "support-reply", *, label: str | None = "production", **changes: Any) -> str:
        """Create a prompt by REST, put a label on its version 1, and return its slug."""
        self.ok("POST", "/prompts", {"slug": slug, **chat(**changes)}, status=201)
        if label:
            self.ok("PUT", f"/prompts/{slug}/labels/{label}", {"version": 1, "reason": "first"})
        return slug


def make_project(slug: str = "shop") -> Project:
    """A project with an owner (`owner@<slug>.test`)."""
    owner = make_user(f"owner@{slug}.test")
    return accounts.create_project(user_actor(owner), name=slug.title(), slug=slug)


def make_user(email: str) -> User:
    return accounts.create_user(email=email, name=email.partition("@")[0].title())


def make_caller(project: Project, role: str = "admin", *, person: User | None = None, **token: Any) -> Caller:
    """A caller with that role. ``person`` makes the token (a member); by default the project's owner does."""
    actor = user_actor(person or project.memberships.get(role="owner").user)
    made, secret = create_token(actor, project, name=f"{role} token", role=role, **token)
    return Caller(project, made, secret)


def problem(answer: Any, status: int, code: str | None = None) -> dict[str, Any]:
    """Insist on a problem with that status (and code); return it."""
    assert answer.status_code == status, (answer.status_code, answer.content)
    assert answer["Content-Type"] == "application/problem+json", answer["Content-Type"]
    body: dict[str, Any] = json.loads(answer.content)
    assert body["status"] == status
    assert body["detail"]
    if code is not None:
        assert body["code"] == code, body
    return body
