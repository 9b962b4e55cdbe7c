"""`resolve` of running web servers: two of them, since each remembers for itself and all must notice a change.

Every change here is committed by this test's own process, so a server learns of it from the change feed alone.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.db import connection
from django.utils import timezone

from promptops.accounts.models import ApiToken, Project, User
from promptops.accounts.services import remove_member
from promptops.accounts.tokens import revoke_token
from promptops.core.change_watch import APPLICATION_NAME, LOOK_SECONDS
from promptops.core.installation import Installation
from promptops.management.services.valkey import ValkeyService
from promptops.prompts.models import Prompt, PromptVersion
from promptops.prompts.services import archive_prompt, create_version, move_label, restore_prompt, update_prompt
from tests.people import GREETING, Team, make_team
from tests.web import WebServer, serve

# One pair of servers for all of them.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("hotpath")]

PATH = "/api/v1/prompts/greeting/resolve"
WITHIN_SECONDS = 1.0


@pytest.fixture(scope="module")
def lonely_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyService]:
    """A Valkey that a test may kill."""
    service = ValkeyService(Installation.at(tmp_path_factory.mktemp("valkey")), durable=False)
    service.start()
    yield service
    service.stop(immediately=True)


@pytest.fixture(scope="module")
def servers(web: WebServer, lonely_valkey: ValkeyService) -> Iterator[list[WebServer]]:
    with serve(VALKEY_URL=f"unix://{lonely_valkey.installation.valkey_socket}?db=0") as other:
        yield [web, other]


@dataclass
class Scene:
    """A prompt with two versions, `production` on the first, a token, and a caller of each server."""

    team: Team
    prompt: Prompt
    first: PromptVersion
    second: PromptVersion
    token: ApiToken
    callers: list[httpx2.Client]

    def get(self, path: str = PATH, **headers: str) -> list[httpx2.Response]:
        return [caller.get(path, headers=headers) for caller in self.callers]

    def warm(self, path: str = PATH, *, status: int = 200) -> list[httpx2.Response]:
        """Have every server remember the answer, now that it has heard of what the test wrote before."""
        time.sleep(LOOK_SECONDS + 0.1)
        for _turn in range(2):
            answers = self.get(path)
        assert [answer.status_code for answer in answers] == [status] * len(self.callers)
        return answers


@pytest.fixture
def scene(servers: list[WebServer]) -> Iterator[Scene]:
    team = make_team()
    first = team.prompt()
    warmer = {**GREETING, "parameters": {"temperature": 0.9}}
    second, _is_new = create_version(team.actor("editor"), first.prompt, warmer, message="warmer")
    move_label(team.actor("editor"), first.prompt, "production", first)
    secret = team.token()
    callers = [server.client(secret) for server in servers]
    token = ApiToken.objects.latest("pk")
    scene = Scene(team, first.prompt, first, second, token, callers)
    yield scene
    for caller in callers:
        caller.close()


def assert_shown_everywhere(scene: Scene, is_shown: Callable[[httpx2.Response], bool], path: str = PATH) -> None:
    """Every server shows the change to a request sent a second after the commit at the latest, and then always."""
    committed = time.monotonic()
    for caller in scene.callers:
        while True:
            asked = time.monotonic()
            shown = is_shown(caller.get(path))
            if shown and asked > committed + WITHIN_SECONDS:
                break
            assert shown or asked < committed + WITHIN_SECONDS, "an old answer after a second"
            time.sleep(0.02)


# --- Answers -------------------------------------------------------------------------------------------------------


def test_it_answers_from_memory_as_django_does(scene: Scene) -> None:
    caller = scene.callers[0]
    cold, warm = caller.get(PATH), caller.get(PATH)
    assert cold.status_code == warm.status_code == 200
    assert cold.json()["version"] == 1
    assert warm.content == cold.content
    told = [{name: value for name, value in answer.headers.items() if name != "date"} for answer in (cold, warm)]
    assert told[0] == told[1]
    assert warm.headers["content-type"] == "application/json; charset=utf-8"
    assert warm.headers["cache-control"] == "private, no-cache"
    assert warm.headers["x-content-type-options"] == "nosniff"


def test_it_answers_head_without_a_body(scene: Scene) -> None:
    caller = scene.callers[0]
    cold = caller.head(PATH)
    warm = caller.head(PATH)
    full = caller.get(PATH)
    for head in (cold, warm):
        assert head.status_code == 200
        assert head.content == b""
        assert head.headers["etag"] == full.headers["etag"]
        assert head.headers["content-length"] == str(len(full.content))


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '"a" ,{} , "b"', "*"])
def test_it_answers_304_to_whoever_has_it(scene: Scene, form: str) -> None:
    caller = scene.callers[0]
    etag = caller.get(f"{PATH}?version=1").headers["etag"]
    cold = caller.get(f"{PATH}?version=1&cold", headers={"If-None-Match": form.format(etag)})
    warm = caller.get(f"{PATH}?version=1&cold", headers={"If-None-Match": form.format(etag)})
    for answer in (cold, warm):
        assert answer.status_code == 304
        assert answer.content == b""
        assert answer.headers["etag"] == etag
        assert "content-type" not in answer.headers
    assert caller.get(f"{PATH}?version=1&cold").json()["version"] == 1  # the 304 was not remembered in its place


def test_it_answers_in_full_whoever_has_another_one(scene: Scene) -> None:
    caller = scene.callers[0]
    etag = caller.get(PATH).headers["etag"]
    for other in ('"nothing"', etag.strip('"'), f'"x{etag[1:]}'):
        assert caller.get(PATH, headers={"If-None-Match": other}).status_code == 200


def test_it_tells_apart_what_is_asked(scene: Scene) -> None:
    caller = scene.callers[0]
    for _turn in range(2):
        assert caller.get(f"{PATH}?version=2").json()["version"] == 2
        assert caller.get(f"{PATH}?version=1").json()["version"] == 1
        assert caller.get(f"{PATH}?label=latest").json()["version"] == 2
        assert caller.get(f"{PATH}?label=production").json()["label"] == "production"
        assert caller.get(f"{PATH}?x=1&label=latest").json()["version"] == 2
        assert caller.get(f"{PATH}?label=latest&x=1").json()["version"] == 2
        assert caller.get("/api/v1/prompts/gr%65eting/resolve?lab%65l=l%61test").json()["version"] == 2
        assert caller.get(f"{PATH}?label=production&version=2").status_code == 422
        assert caller.get(f"{PATH}?version=two").status_code == 422
        assert caller.get("/api/v1/prompts/Greeting/resolve").status_code == 404
        assert caller.get("/api/v1/prompts/greeting/resolve/").status_code == 404
        assert caller.post(PATH).status_code == 405
        assert caller.options(PATH).status_code == 405


def test_it_takes_header_names_in_any_case_and_a_query_in_any_bytes(scene: Scene, servers: list[WebServer]) -> None:
    secret = scene.callers[0].headers["authorization"]
    etag = scene.callers[0].get(PATH).headers["etag"]
    first = raw(servers[0], f"GET {PATH}", f"AUTHORIZATION: {secret}", f"iF-nOnE-mAtCh: {etag}")
    assert first.startswith(b"HTTP/1.1 304 ")
    # Two headers of that name are one list.
    second = raw(servers[0], f"GET {PATH}", f"authorization: {secret}", 'If-None-Match: "x"', f"If-None-Match: {etag}")
    assert second.startswith(b"HTTP/1.1 304 ")
    for _turn in range(2):
        assert raw(servers[0], f"GET {PATH}?label=提示", f"authorization: {secret}").startswith(b"HTTP/1.1 404 ")
        assert raw(servers[0], f"GET {PATH}", f"authorization: {secret}", "authorization: Bearer po_x").startswith(
            b"HTTP/1.1 401 "
        )


def raw(server: WebServer, request: str, *headers: str) -> bytes:
    """Send a request byte by byte as it stands here; return the answer."""
    import socket

    lines = [f"{request} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", *headers, "Connection: close", "", ""]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode())
        received = b""
        while block := connection.recv(65536):
            received += block
    return received


def test_it_answers_only_the_token_that_asked(scene: Scene) -> None:
    scene.warm()
    caller = scene.callers[0]
    for authorization in ("", "Bearer", "Bearer po_unknown", f"Basic {caller.headers['authorization'][7:]}"):
        assert caller.get(PATH, headers={"Authorization": authorization}).status_code == 401


def test_it_keeps_projects_apart(scene: Scene, servers: list[WebServer]) -> None:
    other = make_team("other")
    version = other.prompt(messages=[{"role": "user", "content": "Theirs"}])
    move_label(other.actor("editor"), version.prompt, "production", version)
    with servers[0].client(other.token()) as stranger:
        for _turn in range(2):
            assert scene.callers[0].get(PATH).json()["messages"] == GREETING["messages"]
            assert stranger.get(PATH).json()["messages"] == [{"role": "user", "content": "Theirs"}]


def test_it_keeps_our_host_rule(scene: Scene) -> None:
    scene.warm()
    assert scene.callers[0].get(PATH, headers={"Host": "elsewhere.example"}).status_code == 400


def test_nothing_internal_leaves_the_process(scene: Scene) -> None:
    caller = scene.callers[0]
    update_prompt(scene.team.actor("editor"), scene.prompt, slug="renamed")
    renamed = "/api/v1/prompts/renamed/resolve"
    answers = []
    for _turn in range(2):
        answers += [caller.get(PATH), caller.head(renamed), caller.get(renamed), caller.get(f"{renamed}?version=7")]
        answers += [caller.get(renamed, headers={"If-None-Match": "*"})]
        answers += [caller.request("GET", renamed, content=b"a body")]
    assert [answer.status_code for answer in answers] == [308, 200, 200, 404, 304, 200] * 2
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("x-internal")]


# --- What a warm answer costs --------------------------------------------------------------------------------------


def test_it_asks_the_database_nothing_while_warm(scene: Scene) -> None:
    scene.warm()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (began,) = cursor.fetchone()
        end = time.monotonic() + LOOK_SECONDS + 0.2
        while time.monotonic() < end:
            assert [answer.status_code for answer in scene.get()] == [200, 200]
        cursor.execute(
            "SELECT application_name, query FROM pg_stat_activity WHERE datname = current_database() "
            "AND query_start > %s AND pid <> pg_backend_pid()",
            [began],
        )
        active = cursor.fetchall()
    assert [row for row in active if row[0] != APPLICATION_NAME] == []
    assert len(active) == len(scene.callers), "each server should have looked at the feed meanwhile"


def test_it_needs_no_valkey(scene: Scene, lonely_valkey: ValkeyService) -> None:
    lonely_valkey.stop(immediately=True)
    try:
        scene.warm()
        move_label(scene.team.actor("editor"), scene.prompt, "production", scene.second)
        assert_shown_everywhere(scene, lambda answer: answer.json()["version"] == 2)
    finally:
        lonely_valkey.start()


def test_it_notes_when_the_token_was_used(web: WebServer) -> None:
    team = make_team()
    version = team.prompt()
    move_label(team.actor("editor"), version.prompt, "production", version)
    with serve() as server, server.client(team.token()) as caller:
        caller.get(PATH)
        first_use = wait_for(lambda: ApiToken.objects.latest("pk").last_used_at, 8)
        warm_use = timezone.now()
        assert caller.get(PATH).status_code == 200
        assert ApiToken.objects.latest("pk").last_used_at == first_use  # not at once: that would be a write a read
    used: Any = ApiToken.objects.latest("pk").last_used_at  # a server that ends writes what it has
    assert used >= warm_use


def wait_for(ask: Callable[[], Any], seconds: float) -> Any:
    end = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.1)
    return found


# --- What changes --------------------------------------------------------------------------------------------------


def test_it_shows_a_moved_label_everywhere_within_a_second(scene: Scene) -> None:
    etags = {answer.headers["etag"] for answer in scene.warm()}
    assert len(etags) == 1, "the same answer has the same tag in every process"
    move_label(scene.team.actor("editor"), scene.prompt, "production", scene.second)
    assert_shown_everywhere(scene, lambda answer: answer.json()["version"] == 2)
    etag = etags.pop()
    assert [answer.status_code for answer in scene.get(**{"If-None-Match": etag})] == [200, 200]
    move_label(scene.team.actor("editor"), scene.prompt, "production", scene.first)
    assert_shown_everywhere(scene, lambda answer: answer.json()["version"] == 1)
    assert [answer.status_code for answer in scene.get(**{"If-None-Match": etag})] == [304, 304]


def test_it_shows_a_new_version_under_latest(scene: Scene) -> None:
    path = f"{PATH}?label=latest"
    scene.warm(path)
    create_version(scene.team.actor("editor"), scene.prompt, {**GREETING, "parameters": {}}, message="third")
    assert_shown_everywhere(scene, lambda answer: answer.json()["version"] == 3, path)


def test_it_refuses_a_revoked_token_within_a_second(scene: Scene) -> None:
    scene.warm()
    revoke_token(scene.team.actor("owner"), scene.token)
    assert_shown_everywhere(scene, lambda answer: answer.status_code == 401)


def test_it_refuses_an_expired_token_at_once(scene: Scene) -> None:
    ApiToken.objects.filter(pk=scene.token.pk).update(expires_at=timezone.now() + dt.timedelta(seconds=2.5))
    scene.warm()
    ends: Any = ApiToken.objects.get(pk=scene.token.pk).expires_at
    while (now := timezone.now()) < ends + dt.timedelta(seconds=0.3):
        answers = scene.get()
        if now > ends:
            assert [answer.status_code for answer in answers] == [401, 401]
            assert answers[0].json()["code"] == "token_expired"
        time.sleep(0.02)


def test_it_refuses_the_token_of_a_removed_member(scene: Scene, servers: list[WebServer]) -> None:
    from promptops.accounts.tokens import create_token

    _token, secret = create_token(scene.team.actor("admin"), scene.team.project, name="by the admin", role="viewer")
    for caller in scene.callers:
        caller.headers["Authorization"] = f"Bearer {secret}"
    scene.warm()
    remove_member(scene.team.actor("owner"), scene.team.project.memberships.get(user=scene.team.admin))
    assert_shown_everywhere(scene, lambda answer: answer.status_code == 401)


def test_it_refuses_the_token_of_somebody_who_was_deactivated(scene: Scene) -> None:
    scene.warm()
    User.objects.filter(pk=scene.team.owner.pk).update(is_active=False)
    assert_shown_everywhere(scene, lambda answer: answer.status_code == 401)


def test_it_refuses_an_archived_project(scene: Scene) -> None:
    scene.warm()
    Project.objects.filter(pk=scene.team.project.pk).update(archived_at=timezone.now())
    assert_shown_everywhere(scene, lambda answer: answer.status_code == 401)


def test_it_does_not_serve_an_archived_prompt(scene: Scene) -> None:
    scene.warm()
    archive_prompt(scene.team.actor("editor"), scene.prompt)
    assert_shown_everywhere(scene, lambda answer: answer.status_code == 404)
    restore_prompt(scene.team.actor("editor"), scene.prompt)
    assert [answer.status_code for answer in scene.get()] == [200, 200]  # at once: an error is never remembered


def test_it_redirects_from_former_slugs(scene: Scene) -> None:
    scene.warm()
    update_prompt(scene.team.actor("editor"), scene.prompt, slug="hello")
    hello = "/api/v1/prompts/hello/resolve"
    assert_shown_everywhere(scene, lambda answer: answer.headers.get("location") == hello)
    scene.warm(hello)
    scene.prompt.refresh_from_db()
    update_prompt(scene.team.actor("editor"), scene.prompt, slug="hi")
    assert_shown_everywhere(scene, lambda answer: answer.headers.get("location") == "/api/v1/prompts/hi/resolve")
    assert_shown_everywhere(scene, lambda answer: answer.status_code == 308, hello)
    # A prompt that takes a slug back is served there again.
    scene.prompt.refresh_from_db()
    update_prompt(scene.team.actor("editor"), scene.prompt, slug="greeting")
    assert_shown_everywhere(scene, lambda answer: answer.status_code == 200)


def test_it_shows_a_caller_its_own_writes_at_once(scene: Scene) -> None:
    caller = scene.callers[0]
    scene.warm()
    for turn in range(20):
        number = 2 - turn % 2
        moved = caller.put("/api/v1/prompts/greeting/labels/production", json={"version": number, "reason": "turn"})
        assert moved.status_code == 200, scene.callers[0].base_url
        assert caller.get(PATH).json()["version"] == number


def test_every_process_of_one_server_notices(scene: Scene, session_directory: Path) -> None:
    with serve(processes=2) as server:
        callers = [server.client(scene.callers[0].headers["authorization"][7:]) for _number in range(12)]
        crowd = Scene(scene.team, scene.prompt, scene.first, scene.second, scene.token, callers)
        crowd.warm()
        move_label(scene.team.actor("editor"), scene.prompt, "production", scene.second)
        assert_shown_everywhere(crowd, lambda answer: answer.json()["version"] == 2)
        for caller in callers:
            caller.close()
