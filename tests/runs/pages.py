"""What the tests of the run pages share: a model that needs no network, and runs brought to their real end."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import secrets
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.people import Team

if TYPE_CHECKING:
    from promptops.catalog.models import Endpoint
    from promptops.runs.models import Run


def scripted_endpoint(team: Team, model_name: str = "scripted", *, slug: str = "scripted", **more: Any) -> Endpoint:
    """An endpoint of the deterministic engine; what its calls do is said by the model's name."""
    from promptops.catalog.services import create_endpoint

    name = more.pop("name", slug.title())
    return create_endpoint(
        team.actor("admin"), team.project, slug=slug, name=name, provider="scripted", model_name=model_name, **more
    )


def start(team: Team, slug: str = "greeting", *, by: str = "editor", endpoint: str = "scripted", **more: Any) -> Run:
    """A queued run of version 1 of a prompt (other versions by ``version`` or ``label``)."""
    from promptops.runs import services

    which = {name: more.pop(name) for name in ("version", "label") if name in more} or {"version": 1}
    target = services.version_target(team.project, slug, **which)
    more.setdefault("variables", {"name": "Ada"})
    return services.start_run(team.actor(by), target, services.get_endpoint(team.project, endpoint), **more)


@contextlib.contextmanager
def made_ago(age: dt.timedelta) -> Iterator[None]:
    """What is started inside is made that long ago; a run's id holds its time."""
    from promptops.core.ids import first_uuid7_at

    moment = dt.datetime.now(dt.UTC) - age

    def old_uuid7() -> uuid.UUID:
        return uuid.UUID(int=first_uuid7_at(moment).int | secrets.randbits(60))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("promptops.runs.services.uuid7", old_uuid7)
        patch.setattr("promptops.runs.services.timezone", SimpleNamespace(now=lambda: moment))
        yield


def work(queue: str = "api") -> None:
    """Do what a worker does, in this process and this transaction: claim, call, record, until nothing is left."""
    from promptops.runs.calling import Caller
    from promptops.runs.claiming import claim
    from promptops.runs.connections import connection_for
    from promptops.runs.recording import record

    async def call(jobs: Any) -> list[Any]:
        caller = Caller(lambda job, text: None)
        try:
            return [await caller.call(job, connection) for job, connection in jobs]
        finally:
            await caller.aclose()

    while jobs := claim(queue, 10, "api@test:1"):
        outcomes = asyncio.run(call([(job, connection_for(job.endpoint)) for job in jobs]))
        record(outcomes)


def form_of(version: Any, **more: Any) -> dict[str, Any]:
    """What the editor posts for the text of a version."""
    import json

    content = version.content
    fields = {name: json.dumps(content.get(name)) for name in ("messages", "variables", "parameters", "output_schema")}
    fields["variables"] = json.dumps(content.get("variables", {}))
    return {
        "kind": content["kind"],
        "syntax": content["syntax"],
        **fields,
        "values": json.dumps({"name": "Ada"}),
        "endpoint": "scripted",
        "prompt": version.prompt.slug,
        **more,
    }
