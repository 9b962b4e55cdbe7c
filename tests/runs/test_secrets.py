"""An API key is where it is needed, and nowhere else: not in logs, messages, rows, answers or errors."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
import redis

from promptops.catalog.models import Credential, Endpoint
from promptops.runs.events import watch_key_of
from promptops.runs.models import Attempt, Run, Status
from tests.api.client import make_caller
from tests.people import Team
from tests.processes import CeleryBeat, CeleryWorker, wait_for, wait_until_ended
from tests.provider import Provider
from tests.runs.conftest import Begin, MakeEndpoint
from tests.stored import everything_stored

pytestmark = pytest.mark.django_db(transaction=True)

SENTINEL = "sk-sentinel-Zq81VnWx0PtR7mK4"
# What a provider does with a call; "auth" repeats the key in its answer, as OpenAI does.
BEHAVIOURS = (
    "", "tokens=20&token_delay=0.01", "fail=auth", "fail=quota", "fail=rate_limit&times=1", "fail=server_error&times=1",
    "fail=forbidden", "fail=not_found", "fail=bad_request", "fail=content_filter", "fail=drop&times=1",
    "fail=truncate&times=1", "fail=malformed&times=1", "fail=not_json&times=1", "fail=redirect", "fail=gzip&times=1",
    "fail=hang&times=1", "fail=stream_error&times=1",
)  # fmt: skip


def change(endpoint: Endpoint, **fields: Any) -> None:
    """Change the endpoint's credential past the services, which would refuse."""
    credential = endpoint.credential
    assert credential is not None
    Credential.objects.filter(pk=credential.pk).update(**fields)


def test_the_key_is_seen_nowhere(
    team: Team,
    begin: Begin,
    make_endpoint: MakeEndpoint,
    provider: Provider,
    valkey: redis.Redis,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    endpoints = [
        make_endpoint(team, f"test-model?{behaviour}", kind=kind, key=f"{SENTINEL}-{kind}-{number}")
        for kind in ("openai", "anthropic")
        for number, behaviour in enumerate(BEHAVIOURS)
    ]
    away = make_endpoint(team, key=f"{SENTINEL}-away")
    change(away, base_url="http://127.0.0.1:9/v1")
    refused = make_endpoint(team, key=f"{SENTINEL}-refused")
    change(refused, base_url="http://169.254.169.254/v1")
    broken = make_endpoint(team, key=f"{SENTINEL}-broken")
    change(broken, encrypted_key=b"not a token")
    runs: list[Run] = []
    for endpoint in (*endpoints, away, refused, broken):
        runs += begin(endpoint) + begin(endpoint, stream=False)
    for run in runs:
        valkey.set(watch_key_of(run.pk), 1)  # somebody watches
    seen = [_everything_in(valkey)]
    assert '"task": "promptops.runs.tasks.work"' in seen[0]

    environment = {"RUN_CALL_SECONDS": "2", "RECONCILE_SECONDS": "1", "LOG_LEVEL": "DEBUG"}
    with CeleryWorker("api", **environment) as worker, CeleryBeat(**environment) as beat:
        ended = wait_until_ended(*runs, seconds=60)
        wait_for(lambda: valkey.keys("run:*:events"))
        seen += [_everything_in(valkey), worker.log_text(), beat.log_text(), caplog.text]
    called = {call.key for call in provider.calls}
    assert called == {f"{SENTINEL}-{kind}-{n}" for kind in ("openai", "anthropic") for n in range(len(BEHAVIOURS))}
    assert {Status.SUCCEEDED, Status.FAILED} == {run.status for run in ended}
    kinds = set(Attempt.objects.exclude(error=None).values_list("error__kind", flat=True))
    assert kinds >= {"authentication", "connection", "refused_address", "unavailable", "timeout", "truncated_stream"}

    caller = make_caller(team.project)
    for path in ("/runs?limit=100", "/endpoints", "/credentials", "/audit", *(f"/runs/{run.pk}" for run in runs)):
        answer = caller("GET", path)
        assert answer.status_code == 200, path
        seen.append(answer.content.decode())
    seen += [
        everything_stored(),
        repr(ended),
        repr(list(Endpoint.objects.all())),
        repr(list(Credential.objects.all())),
    ]
    assert "Incorrect API key provided" in seen[-4]  # what repeats the key is kept, without the key
    for text in seen:
        assert SENTINEL not in text, text[max(0, text.index(SENTINEL) - 300) :][:600]
    assert SENTINEL not in "".join(json.dumps(run.error) for run in ended)


def _everything_in(valkey: redis.Redis) -> str:
    """All keys with their values, of every type that anybody uses here."""
    readers: dict[bytes, Any] = {
        b"string": valkey.get,
        b"list": lambda key: valkey.lrange(key, 0, -1),
        b"hash": valkey.hgetall,
        b"set": valkey.smembers,
        b"zset": lambda key: valkey.zrange(key, 0, -1),
        b"stream": valkey.xrange,
    }
    found = []
    for key in valkey.keys("*"):
        kind: Any = valkey.type(key)
        if kind in readers:  # else it has just gone
            found.append((key, readers[kind](key)))
    return repr(found)
