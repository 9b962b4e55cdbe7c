"""Prompts, versions, labels and the served version, as a service uses them."""

import pytest

from promptops.prompts.models import Draft
from tests.api.client import Caller, chat, make_caller, problem

pytestmark = pytest.mark.django_db


def test_it_creates_a_prompt_with_its_first_version(admin: Caller) -> None:
    answer = admin.post("/prompts", {"slug": "support-reply", "folder": "support", "tags": ["mail"], **chat()})

    assert answer.status_code == 201
    assert answer["Location"] == "/api/v1/prompts/support-reply/versions/1"
    version = answer.json()
    assert (version["prompt"], version["version"], version["parent"]) == ("support-reply", 1, None)
    assert version["messages"] == chat()["messages"]
    heading = admin.ok("GET", "/prompts/support-reply")
    assert heading["folder"] == "support"
    assert heading["tags"] == ["mail"]
    assert heading["latest_version"] == 1
    assert heading["labels"] == {}


def test_it_saves_nothing_when_nothing_changed(admin: Caller) -> None:
    admin.make_prompt()
    again = admin.post("/prompts/support-reply/versions", chat())
    changed = admin.post("/prompts/support-reply/versions", chat(text="Please: {{ question }}", message="politer"))

    assert again.status_code == 200
    assert again.json()["version"] == 1
    assert again.json()["labels"] == ["production"]
    assert changed.status_code == 201
    assert changed.json()["version"] == 2
    assert changed.json()["parent"] == 1
    history = admin.ok("GET", "/prompts/support-reply/versions")
    assert [one["version"] for one in history["items"]] == [2, 1]
    assert history["items"][0]["message"] == "politer"
    assert admin.ok("GET", "/prompts/support-reply/versions/2")["messages"][1]["content"] == "Please: {{ question }}"


def test_it_refuses_to_save_over_a_version_that_the_writer_has_not_seen(admin: Caller) -> None:
    admin.make_prompt()
    admin.post("/prompts/support-reply/versions", chat(text="two"))

    answer = admin.post("/prompts/support-reply/versions", chat(text="three", expected_head=1))

    assert problem(answer, 409, "stale_version")["newest"] == 2


def test_it_names_every_wrong_field(admin: Caller) -> None:
    wrong = {**chat(), "slug": "Not a slug", "messages": [{"role": "nobody", "content": "x"}], "tags": ["a,b"]}

    errors = problem(admin.post("/prompts", wrong), 422)["errors"]
    assert set(errors) == {"slug", "tags"}
    errors = problem(admin.post("/prompts", {**wrong, "slug": "fine", "tags": []}), 422)["errors"]
    assert list(errors) == ["messages.0.role"]
    errors = problem(admin.post("/prompts", {"slug": "fine", "kind": "poem", "colour": "red"}), 422)["errors"]
    assert set(errors) == {"kind", "messages", "colour"}


def test_it_says_where_a_template_does_not_parse(admin: Caller) -> None:
    answer = admin.post("/prompts", {"slug": "broken", **chat(text="Hello {{ name")})

    assert list(problem(answer, 422, "template_syntax")["errors"]) == ["messages.1.content"]


def test_it_resolves_production_and_never_silently_the_latest(admin: Caller) -> None:
    admin.make_prompt(label=None)
    problem(admin.get("/prompts/support-reply/resolve"), 404, "label_not_found")
    assert admin.ok("GET", "/prompts/support-reply/resolve?label=latest")["version"] == 1

    admin.put("/prompts/support-reply/labels/production", {"version": 1})
    admin.post("/prompts/support-reply/versions", chat(text="two"))

    served = admin.ok("GET", "/prompts/support-reply/resolve")
    assert set(served) == {
        "prompt", "version", "label", "kind", "syntax", "messages", "parameters", "variables", "output_schema",
        "sha256", "closure_sha256", "includes",
    }  # fmt: skip
    assert (served["version"], served["label"]) == (1, "production")
    assert admin.ok("GET", "/prompts/support-reply/resolve?version=2")["label"] is None
    assert admin.ok("GET", "/prompts/support-reply/resolve?label=latest")["version"] == 2
    problem(admin.get("/prompts/support-reply/resolve?label=production&version=2"), 422)
    problem(admin.get("/prompts/support-reply/resolve?version=9"), 404)
    problem(admin.get("/prompts/support-reply/resolve?version=two"), 422)
    problem(admin.get("/prompts/nobody/resolve"), 404)


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', 'W/"x",W/{}', "*"])
def test_it_answers_304_to_whoever_has_it(admin: Caller, form: str) -> None:
    admin.make_prompt()
    first = admin.get("/prompts/support-reply/resolve")
    etag = first["ETag"]
    assert etag.startswith('"')

    again = admin.get("/prompts/support-reply/resolve", **{"If-None-Match": form.format(etag)})

    assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)
    admin.post("/prompts/support-reply/versions", chat(text="two"))
    admin.put("/prompts/support-reply/labels/production", {"version": 2})
    if form != "*":
        changed = admin.get("/prompts/support-reply/resolve", **{"If-None-Match": form.format(etag)})
        assert (changed.status_code, changed.json()["version"]) == (200, 2)


def test_it_answers_head_like_get_without_a_body(admin: Caller) -> None:
    admin.make_prompt()
    full = admin.get("/prompts/support-reply/resolve")
    head = admin("HEAD", "/prompts/support-reply/resolve")

    assert (head.status_code, head.content, head["ETag"]) == (200, b"", full["ETag"])
    assert head["Content-Length"] == str(len(full.content))


def test_it_redirects_a_former_slug_and_keeps_the_query(admin: Caller) -> None:
    admin.make_prompt("old-name")
    admin.ok("PATCH", "/prompts/old-name", {"slug": "new-name"})

    answer = admin.get("/prompts/old-name/resolve?label=production")
    assert answer.status_code == 308
    assert answer["Location"] == "/api/v1/prompts/new-name/resolve?label=production"
    written = admin.put("/prompts/old-name/labels/production", {"version": 1})
    assert (written.status_code, written["Location"]) == (308, "/api/v1/prompts/new-name/labels/production")
    assert admin.ok("GET", answer["Location"])["prompt"] == "new-name"
    problem(admin.post("/prompts", {"slug": "old-name", **chat()}), 409, "slug_taken")
    rendered = admin.ok("POST", "/render", {"prompt": "old-name", "variables": {"shop": "S", "question": "?"}})
    assert rendered["prompt"] == "new-name"


def test_it_moves_a_label_once_and_tells_its_history(admin: Caller) -> None:
    admin.make_prompt(label=None)
    admin.post("/prompts/support-reply/versions", chat(text="two"))
    path = "/prompts/support-reply/labels/production"

    assert admin.ok("PUT", path, {"version": 1, "reason": "first"})["version"] == 1
    problem(admin.put(path, {"version": 2, "expected": 0}), 409, "label_moved")
    assert admin.ok("PUT", path, {"version": 2, "reason": "shorter", "expected": 1})["version"] == 2
    assert admin.ok("POST", f"{path}/rollback", {"reason": "complaints"})["version"] == 1
    admin.ok("DELETE", f"{path}?reason=over", status=204)
    problem(admin.get("/prompts/support-reply/resolve"), 404, "label_not_found")

    first = admin.ok("GET", f"{path}/history?limit=3")
    rest = admin.ok("GET", f"{path}/history?limit=3&cursor={first['next']}")
    moves = [(one["from_version"], one["to_version"], one["authority"]) for one in first["items"] + rest["items"]]
    assert moves == [(1, None, "direct"), (2, 1, "rollback"), (1, 2, "direct"), (None, 1, "direct")]
    assert first["items"][1]["reason"] == "complaints"
    assert rest["next"] is None
    assert admin.ok("GET", "/prompts/support-reply/labels") == []


@pytest.mark.parametrize("label", ["latest", "Prod", "a b", "x" * 61])
def test_it_refuses_a_label_that_cannot_be(admin: Caller, label: str) -> None:
    admin.make_prompt()
    assert "label" in problem(admin.put(f"/prompts/support-reply/labels/{label}", {"version": 1}), 422)["errors"]


def test_it_takes_an_archived_prompt_out_of_service(admin: Caller) -> None:
    admin.make_prompt()
    assert admin.ok("POST", "/prompts/support-reply/archive")["archived_at"]
    problem(admin.get("/prompts/support-reply/resolve"), 404, "archived")
    problem(admin.post("/prompts/support-reply/versions", chat(text="two")), 409, "archived")
    assert admin.ok("GET", "/prompts")["items"] == []
    assert len(admin.ok("GET", "/prompts?archived=true")["items"]) == 1
    admin.ok("POST", "/prompts/support-reply/restore")
    assert admin.ok("GET", "/prompts/support-reply/resolve")["version"] == 1


def test_it_finds_prompts_by_text_folder_tag_and_kind(admin: Caller) -> None:
    admin.make_prompt("greeting", folder="support/chat", tags=["warm"], text="您好,请问有什么可以帮您 {{ q }}")
    admin.make_prompt("sentiment", folder="analysis", description="positive or negative", label=None)

    def found(query: str) -> list[str]:
        return [one["slug"] for one in admin.ok("GET", f"/prompts?{query}")["items"]]

    assert found("") == ["sentiment", "greeting"]
    assert found("q=帮您") == ["greeting"]
    assert found("q=negat") == ["sentiment"]
    assert found("folder=support") == ["greeting"]
    assert found("tag=warm") == ["greeting"]
    assert found("kind=text") == []
    assert admin.ok("GET", "/prompts?q=warm")["items"][0]["labels"] == {"production": 1}


def test_it_pages_through_a_list_without_gaps(admin: Caller) -> None:
    for number in range(5):
        admin.make_prompt(f"prompt-{number}", label=None)
    slugs: list[str] = []
    query = "/prompts?limit=2"
    while query:
        page = admin.ok("GET", query)
        slugs += [one["slug"] for one in page["items"]]
        query = page["next"] and f"/prompts?limit=2&cursor={page['next']}"
    assert slugs == [f"prompt-{number}" for number in (4, 3, 2, 1, 0)]
    problem(admin.get("/prompts?cursor=nonsense"), 422)
    assert "limit" in problem(admin.get("/prompts?limit=0"), 422)["errors"]


def test_it_tells_what_changed_between_versions(admin: Caller) -> None:
    admin.make_prompt()
    admin.post(
        "/prompts/support-reply/versions", chat(text="Dear customer: {{ question }}", parameters={"temperature": 1})
    )

    diff = admin.ok("GET", "/prompts/support-reply/diff?from=1&to=2")

    assert (diff["from"], diff["to"]) == (1, 2)
    assert "Dear" in str(diff)
    problem(admin.get("/prompts/support-reply/diff?from=1"), 422)
    problem(admin.get("/prompts/support-reply/diff?from=1&to=7"), 404)


def test_it_renders_without_a_run(admin: Caller) -> None:
    admin.make_prompt()
    given = {"prompt": "support-reply", "variables": {"shop": "Paper & Pen", "question": "Open on Sunday?"}}

    rendered = admin.ok("POST", "/render", given)

    assert rendered["version"] == 1
    assert rendered["messages"] == [
        {"role": "system", "content": "You answer customers of Paper & Pen."},
        {"role": "user", "content": "Open on Sunday?"},
    ]
    missing = problem(admin.post("/render", {**given, "variables": {"shop": "x"}}), 422, "variables")
    assert list(missing["errors"]) == ["variables.question"]
    problem(admin.post("/render", {**given, "label": "staging"}), 404)


def test_it_keeps_a_draft_and_overwrites_nobody(admin: Caller) -> None:
    admin.make_prompt()
    draft = admin.post("/drafts", {"prompt": "support-reply"}).json()
    assert (draft["revision"], draft["base_version"]) == (1, 1)
    path = f"/drafts/{draft['id']}"

    saved = admin.ok("PUT", path, {"revision": 1, "content": chat(text="mine")})
    stale = problem(admin.put(path, {"revision": 1, "content": chat(text="theirs")}), 409, "stale_draft")

    assert saved["revision"] == 2
    assert stale["stored"]["content"]["messages"][1]["content"] == "mine"
    assert stale["yours"]["content"]["messages"][1]["content"] == "theirs"
    problem(admin.post("/drafts", {"prompt": "support-reply"}), 409, "stale_draft")
    assert [one["id"] for one in admin.ok("GET", "/drafts")["items"]] == [draft["id"]]
    version = admin.ok("POST", f"{path}/commit", {"revision": 2, "message": "by draft"}, status=201)
    assert version["messages"][1]["content"] == "mine"
    problem(admin.get(path), 404)


def test_it_says_when_a_draft_fell_behind_and_lets_it_follow(admin: Caller) -> None:
    admin.make_prompt()
    draft = admin.post("/drafts", {"prompt": "support-reply", "content": chat(text="mine")}).json()
    admin.post("/prompts/support-reply/versions", chat(text="theirs"))
    path = f"/drafts/{draft['id']}"

    problem(admin.post(f"{path}/commit", {"revision": 1}), 409, "stale_version")
    followed = admin.ok("POST", f"{path}/rebase", {"version": 2})
    version = admin.ok("POST", f"{path}/commit", {"revision": followed["revision"]}, status=201)

    assert (version["version"], version["parent"]) == (3, 2)


def test_it_makes_a_prompt_of_a_draft(admin: Caller) -> None:
    draft = admin.ok("POST", "/drafts", {"content": chat(), "heading": {"slug": "fresh"}}, status=201)
    assert draft["prompt"] is None

    admin.ok("POST", f"/drafts/{draft['id']}/commit", {"revision": 1}, status=201)

    assert admin.ok("GET", "/prompts/fresh")["latest_version"] == 1
    again = admin.ok("POST", "/drafts", {"content": chat(text="unfinished {{")}, status=201)
    admin.ok("DELETE", f"/drafts/{again['id']}", status=204)
    assert not Draft.objects.exists()


def test_it_gives_nobody_the_draft_of_another_person(admin: Caller) -> None:
    from promptops.accounts import services as accounts
    from promptops.accounts.actors import SYSTEM
    from tests.api.client import make_user

    draft = admin.ok("POST", "/drafts", {"content": chat()}, status=201)
    colleague = make_user("colleague@shop.test")
    accounts.add_member(SYSTEM, admin.project, colleague, role="admin")
    other = make_caller(admin.project, person=colleague)

    problem(other.get(f"/drafts/{draft['id']}"), 404)
    assert other.ok("GET", "/drafts")["items"] == []
