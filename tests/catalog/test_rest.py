"""Endpoints and credentials by REST: an admin's whole job, what others may see, and keys that never come back."""

from __future__ import annotations

import json
import logging
import socket
from typing import Any

import pytest

from promptops.accounts.models import IdempotencyKey
from promptops.audit.models import AuditEvent
from tests.api.client import Caller, make_caller, problem
from tests.people import Team
from tests.provider import Provider

SENTINEL = "sk-sentinel-Hb72QmLsVe9d"


@pytest.fixture
def admin(team: Team) -> Caller:
    return caller(team, "admin")


def caller(team: Team, role: str, **token: Any) -> Caller:
    """A caller whose token the owner made."""
    return make_caller(team.project, role, **token)


def store(admin: Caller, **changes: Any) -> dict[str, Any]:
    given = {"name": "OpenAI", "provider": "openai", "api_key": SENTINEL, **changes}
    stored: dict[str, Any] = admin.ok("POST", "/credentials", given, status=201)
    return stored


def add(admin: Caller, **changes: Any) -> dict[str, Any]:
    given = {"slug": "mini", "name": "Mini", "provider": "openai", "credential": "OpenAI", "model_name": "gpt-4o-mini"}
    added: dict[str, Any] = admin.ok("POST", "/endpoints", {**given, **changes}, status=201)
    return added


def test_it_stores_a_credential_and_adds_a_model_with_its_listed_price(admin: Caller) -> None:
    credential = store(admin)
    assert (credential["last_four"], credential["endpoints"], credential["tested_at"]) == ("Ve9d", [], None)

    answer = admin.post(
        "/endpoints",
        {
            "slug": "mini",
            "name": "GPT-4o mini",
            "provider": "openai",
            "credential": credential["id"],
            "model_name": "gpt-4o-mini",
            "parameters": {"temperature": 0.1},
        },
    )

    assert (answer.status_code, answer["Location"]) == (201, "/api/v1/endpoints/mini")
    endpoint = admin.ok("GET", "/endpoints/mini")
    assert endpoint == answer.json()
    assert endpoint["credential"] == {"id": credential["id"], "name": "OpenAI"}
    assert (endpoint["price"]["input_price"], endpoint["price"]["output_price"]) == (0.15, 0.6)
    assert endpoint["price"]["source"].startswith("genai-prices ")
    assert (endpoint["context_window"], endpoint["parameters"]) == (128_000, {"temperature": 0.1})
    assert admin.ok("GET", f"/credentials/{credential['id']}")["endpoints"] == ["mini"]


def test_it_takes_a_credential_by_id_or_by_name_and_never_a_foreign_one(admin: Caller, team: Team) -> None:
    theirs = make_caller(team.elsewhere)
    foreign = theirs.ok(
        "POST", "/credentials", {"name": "Theirs", "provider": "openai", "api_key": "sk-theirs-1234"}, status=201
    )
    store(admin, name="7")
    assert add(admin, credential="7")["credential"]["name"] == "7"
    for wrong in (foreign["id"], "Theirs", 2**80, -1, "nobody"):
        body = {"slug": "x", "name": "x", "provider": "openai", "credential": wrong, "model_name": "x"}
        assert list(problem(admin.post("/endpoints", body), 422)["errors"]) == ["credential"]
    problem(admin.get(f"/credentials/{foreign['id']}"), 404, "credential_not_found")
    problem(theirs.get("/endpoints/7"), 404, "endpoint_not_found")


def test_it_lists_the_default_first_and_pages(admin: Caller) -> None:
    store(admin)
    for slug, name in (("b", "Beta"), ("a", "Alpha"), ("c", "Gamma")):
        add(admin, slug=slug, name=name, default=slug == "c")
    pages = []
    cursor = ""
    while cursor is not None:
        page = admin.ok("GET", f"/endpoints?limit=2&cursor={cursor}")
        pages.append([one["slug"] for one in page["items"]])
        cursor = page["next"]
    assert pages == [["c", "a"], ["b", "smollm2-135m"]]
    assert [one["slug"] for one in admin.ok("GET", "/endpoints")["items"] if one["default"]] == ["c"]


def test_a_price_is_listed_entered_or_unknown(admin: Caller) -> None:
    store(admin)
    entered = add(admin, price={"input_price": "1.25", "output_price": 10})
    assert (entered["price"]["input_price"], entered["price"]["source"]) == (1.25, "manual")
    unknown = add(admin, slug="unknown", price={})
    assert (unknown["price"]["input_price"], unknown["price"]["source"]) == (None, "")

    listed = admin.ok("POST", "/endpoints/unknown/refresh-price")
    assert listed["price"]["input_price"] == 0.15
    cleared = admin.ok("PATCH", "/endpoints/mini", {"price": {}})
    assert cleared["price"]["input_price"] is None
    add(admin, slug="house", model_name="house-model-7b")
    problem(admin.post("/endpoints/house/refresh-price"), 409, "price_unknown")


def test_it_changes_what_is_sent_and_leaves_the_rest(admin: Caller) -> None:
    store(admin)
    second = store(admin, name="Second", api_key="sk-second-abcd1234")
    before = add(admin, description="Cheap.")

    changed = admin.ok("PATCH", "/endpoints/mini", {"name": "Renamed", "credential": "Second"})
    assert changed == {**before, "name": "Renamed", "credential": {"id": second["id"], "name": "Second"}}
    assert admin.ok("PATCH", "/endpoints/mini", {"context_window": None})["context_window"] is None
    assert admin.ok("PATCH", "/endpoints/mini", {"parameters": {"top_p": 0.5}})["parameters"] == {"top_p": 0.5}
    assert admin.ok("PATCH", "/endpoints/mini", {})["parameters"] == {"top_p": 0.5}


def test_it_names_every_wrong_field_at_its_place(admin: Caller) -> None:
    wrong = {
        "slug": "No Slug",
        "name": "",
        "provider": "openai",
        "model_name": "",
        "price": {"input_price": 1},
        "parameters": {"warmth": 1},
    }
    errors = problem(admin.post("/endpoints", wrong), 422)["errors"]
    assert set(errors) == {"slug", "name", "model_name", "credential", "parameters.warmth", "price.output_price"}
    assert set(problem(admin.post("/endpoints", {**wrong, "provider": "fax", "colour": 1}), 422)["errors"]) == {
        "provider",
        "colour",
    }
    errors = problem(admin.post("/credentials", {"name": " ", "provider": "openai", "api_key": ""}), 422)["errors"]
    assert set(errors) == {"name", "api_key"}


def test_archiving_and_the_default(admin: Caller) -> None:
    store(admin)
    add(admin)
    assert admin.ok("POST", "/endpoints/mini/default")["default"] is True
    assert admin.ok("POST", "/endpoints/mini/archive")["archived_at"] is not None
    problem(admin.post("/endpoints/mini/default"), 409, "archived")
    assert [one["slug"] for one in admin.ok("GET", "/endpoints?archived=true")["items"]] == ["mini"]
    restored = admin.ok("POST", "/endpoints/mini/restore")
    assert (restored["archived_at"], restored["default"]) == (None, False)


def test_a_credential_in_use_is_not_archived(admin: Caller) -> None:
    credential = store(admin)
    add(admin)
    assert problem(admin.post(f"/credentials/{credential['id']}/archive"), 409, "in_use")["endpoints"] == ["mini"]
    admin.ok("POST", "/endpoints/mini/archive")
    assert admin.ok("POST", f"/credentials/{credential['id']}/archive")["archived_at"] is not None
    assert admin.ok("GET", "/credentials")["items"] == []
    problem(admin.post(f"/credentials/{credential['id']}/test"), 409, "archived")
    problem(admin.patch(f"/credentials/{credential['id']}", {"name": "Again"}), 409, "archived")


@pytest.mark.parametrize("role", ["viewer", "editor", "reviewer"])
def test_others_see_models_but_no_credentials(admin: Caller, team: Team, role: str) -> None:
    credential = store(admin)
    add(admin)
    other = caller(team, role)
    assert len(other.ok("GET", "/endpoints")["items"]) == 2
    assert other.ok("GET", "/endpoints/mini")["name"] == "Mini"

    problem(other.get("/credentials"), 403, "forbidden")
    problem(other.get(f"/credentials/{credential['id']}"), 403, "forbidden")
    for path in ("", "/archive", "/test", "99/test"):
        method = "POST" if path else "PATCH"
        problem(other(method, f"/credentials/{credential['id']}{path}", {}), 403, "forbidden")
    problem(other.post("/credentials", {"name": "x", "provider": "openai", "api_key": "k"}), 403, "forbidden")
    body = {"slug": "x", "name": "x", "provider": "openai", "credential": "OpenAI", "model_name": "x"}
    problem(other.post("/endpoints", body), 403, "forbidden")
    # Whether a credential exists is not told either.
    problem(other.post("/endpoints", {**body, "credential": "nobody"}), 403, "forbidden")
    problem(other.patch("/endpoints/mini", {"name": "x"}), 403, "forbidden")
    for act in ("archive", "restore", "default", "refresh-price"):
        problem(other.post(f"/endpoints/mini/{act}"), 403, "forbidden")


def test_an_admins_token_without_the_scope_administers_nothing(team: Team) -> None:
    reading = caller(team, "admin", scopes=["read", "run", "write"])
    assert reading.ok("GET", "/endpoints")["items"]
    problem(reading.get("/credentials"), 403, "forbidden")
    problem(reading.post("/endpoints/smollm2-135m/archive"), 403, "forbidden")


def test_a_key_comes_back_in_no_answer_log_or_row(
    admin: Caller, provider: Provider, loopback_allowed: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body = {"name": "Own", "provider": "openai", "api_key": SENTINEL, "base_url": provider.openai_url}
    first = admin.post("/credentials", body, key="once")
    again = admin.post("/credentials", body, key="once")
    other = admin.post("/credentials", {**body, "api_key": f"{SENTINEL}x"}, key="once")
    path = f"/credentials/{first.json()['id']}"
    answers = [
        first,
        again,
        other,
        admin.post("/credentials", body),  # the name is taken
        admin.post("/credentials", {**body, "api_key": f"{SENTINEL} with spaces", "provider": "fax"}),
        admin.post("/credentials", {**body, "name": {"nested": SENTINEL}}),
        admin("POST", "/credentials", raw=json.dumps(body).encode()[:-1]),
        admin.get(path),
        admin.get("/credentials"),
        admin.post(f"{path}/test"),
        admin.patch(path, {"api_key": f"wrong-{SENTINEL}"}),
        admin.post(f"{path}/test"),
        admin.ok("POST", "/endpoints", {**_openai("own"), "credential": "Own"}, status=201) and admin.get("/endpoints"),
        admin.get("/audit"),
    ]

    assert [answer.status_code for answer in answers][:3] == [201, 201, 422]
    assert again["Idempotency-Replayed"] == "true"
    assert first.json() == again.json()
    assert answers[9].json()["works"] is True
    assert answers[11].json()["kind"] == "authentication"
    seen = "".join(answer.content.decode() + str(answer.headers) for answer in answers) + caplog.text
    seen += json.dumps(list(IdempotencyKey.objects.values_list("body", "request_sha256")))
    seen += "".join(AuditEvent.objects.values_list("payload", flat=True))
    assert SENTINEL not in seen


def _openai(slug: str) -> dict[str, Any]:
    return {"slug": slug, "name": slug, "provider": "openai", "model_name": "test-model"}


def test_testing_a_credential_tells_which_models_it_may_use(
    admin: Caller, provider: Provider, loopback_allowed: None
) -> None:
    credential = store(admin, base_url=provider.openai_url)

    found = admin.ok("POST", f"/credentials/{credential['id']}/test")

    assert (found["works"], found["models"]) == (True, ["test-model", "test-model-large"])
    assert provider.listed == [SENTINEL]
    noted = admin.ok("GET", f"/credentials/{credential['id']}")
    assert noted["tested_at"] is not None
    assert noted["test_error"] is None


def test_a_redirect_is_not_followed(admin: Caller, provider: Provider, loopback_allowed: None) -> None:
    credential = store(admin, api_key="moved-key-12345678", base_url=provider.openai_url)

    found = admin.ok("POST", f"/credentials/{credential['id']}/test")

    assert found["works"] is False
    assert "307" in found["detail"]
    assert "redirect" in found["detail"]
    assert provider.listed == ["moved-key-12345678"]


def test_an_address_inside_is_refused_and_says_who_can_allow_it(admin: Caller) -> None:
    body = {"name": "Inside", "provider": "openai", "api_key": SENTINEL}
    for url in ("http://169.254.169.254/latest", "http://10.1.2.3/v1", "http://127.0.0.1:8000/v1"):
        refusal = problem(admin.post("/credentials", {**body, "base_url": url}), 422)
        assert "ALLOWED_PROVIDER_HOSTS" in refusal["errors"]["base_url"][0]


class Names:
    """A name server that changes its mind: each lookup of a name takes the next answer, the last one stays."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: dict[str, list[list[str]]]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self.getaddrinfo)

    def getaddrinfo(self, host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host not in self.answers:
            return self.real(host, port, *args, **options)
        self.asked.append(host)
        answers = self.answers[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        kind = socket.SOCK_STREAM
        return [(socket.AF_INET, kind, socket.IPPROTO_TCP, "", (address, port)) for address in addresses]


def test_a_name_is_looked_up_and_checked_on_every_connection(
    admin: Caller, provider: Provider, loopback_allowed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: a name that pointed somewhere allowed a moment ago, and now points inside."""
    host = "models.example.test"
    credential = store(admin, base_url=f"http://{host}:{provider.port}/v1")
    # Only 127.0.0.1 is allowed. 127.0.0.2 is this machine too, so without the check the last two calls would succeed.
    names = Names(monkeypatch, {host: [["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1", "127.0.0.2"]]})

    found = [admin.ok("POST", f"/credentials/{credential['id']}/test") for _ in range(3)]

    assert [one["works"] for one in found] == [True, False, False]
    assert {one["kind"] for one in found[1:]} == {"refused_address"}
    assert names.asked == [host] * 3  # once a connection: what was checked is what was called
    assert provider.listed == [SENTINEL]
