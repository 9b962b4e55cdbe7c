"""The web server as it runs: healthy, with our application behind it."""

import pytest

from tests.people import make_team
from tests.web import WebServer, serve, session_of

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_serves_what_is_committed_to_a_token(web: WebServer) -> None:
    team = make_team()
    team.prompt("hello")
    with web.client(team.token()) as client:
        answer = client.get("/api/v1/prompts")
    assert [prompt["slug"] for prompt in answer.json()["items"]] == ["hello"]


def test_it_refuses_nobody_and_a_session_on_rest(web: WebServer) -> None:
    team = make_team()
    with web.client() as client:
        assert client.get("/api/v1/prompts").status_code == 401
    with web.client(session=session_of(team.owner)) as client:
        assert client.get("/api/v1/prompts").status_code == 401


def test_it_runs_the_number_of_processes_that_was_asked_for() -> None:
    with serve(processes=2) as server:
        assert len(server.workers()) == 2
        with server.client() as client:
            assert client.get("/healthz").json() == {"status": "ok"}
