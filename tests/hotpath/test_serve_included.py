"""`resolve` of a running web server, of a prompt that includes another one: it notices what happens to that one."""

from __future__ import annotations

import time
from typing import Any

import httpx2
import pytest

from promptops.core.change_watch import LOOK_SECONDS
from promptops.prompts.services import create_prompt, create_version, move_label
from tests.people import make_team
from tests.web import WebServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("hotpath")]

PATH = "/api/v1/prompts/reply/resolve"
WITHIN_SECONDS = 1.0


def snippet(content: str) -> dict[str, Any]:
    return {"kind": "text", "syntax": "jinja", "messages": [{"content": content}]}


@pytest.mark.parametrize("query", ["", "?includes=unresolved"])
def test_a_label_of_an_included_prompt_that_moves_shows_within_a_second(web: WebServer, query: str) -> None:
    team = make_team()
    actor = team.actor("editor")
    first = create_prompt(actor, team.project, snippet("Dear"), slug="salutation")
    move_label(actor, first.prompt, "production", first)
    content = {"role": "user", "content": '{% include "salutation@production" %} Ada'}
    reply = create_prompt(actor, team.project, {"kind": "chat", "syntax": "jinja", "messages": [content]}, slug="reply")
    move_label(actor, reply.prompt, "production", reply)
    second, _ = create_version(actor, first.prompt, snippet("Hello"))

    with web.client(team.token()) as caller:
        time.sleep(LOOK_SECONDS + 0.1)
        before = [caller.get(PATH + query) for _ in range(2)][-1]
        assert before.json()["includes"][0]["version"] == 1
        known = {"If-None-Match": before.headers["etag"]}
        assert caller.get(PATH + query, headers=known).status_code == 304

        move_label(actor, first.prompt, "production", second)
        committed = time.monotonic()
        answer = caller.get(PATH + query, headers=known)
        while answer.status_code == 304:
            assert time.monotonic() < committed + WITHIN_SECONDS, "an old answer after a second"
            time.sleep(0.02)
            answer = caller.get(PATH + query, headers=known)

        assert isinstance(answer, httpx2.Response)
        assert answer.headers["etag"] != before.headers["etag"]
        assert answer.json()["includes"][0]["version"] == 2
        if not query:
            assert answer.json()["messages"][0]["content"] == "Hello Ada"
