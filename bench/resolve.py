"""`python -m bench.resolve`: how many services can ask for their prompt at once.

Stored are 1,000 prompts of 10 versions each; 32 connections ask for what `production` serves, in random order. The
limit is what the same client gets from the same server with an ASGI function in front of nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import httpx2

from bench import installation
from bench.load import Load, client_name, measure

if TYPE_CHECKING:
    from promptops.accounts.actors import Actor
    from promptops.accounts.models import Project

PROMPTS = 1000
VERSIONS = 10
CONNECTIONS = 32
GOAL = 3000  # requests a second on two cores that the client shares
MOVE_SECONDS = 1.0  # between two releases in the measurement with changes
TEXT = "You answer customers of {{ shop }} briefly and kindly. Never promise a refund. Today is {{ day }}. " * 10


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--seconds", type=float, default=10, help="How long each measurement takes.")
    options.add_argument("--prompts", type=int, default=PROMPTS)
    options.add_argument("--connections", type=int, default=CONNECTIONS)
    options.add_argument("--processes", type=int, default=1, help="Of the web server.")
    given = options.parse_args()
    with installation.temporary(durable=False):
        print(json.dumps(measure_all(given), indent=2))


def measure_all(given: argparse.Namespace) -> dict[str, Any]:
    say(f"Storing {given.prompts} prompts of {VERSIONS} versions …")
    secret, paths = store(given.prompts)
    headers = [f"Authorization: Bearer {secret}", "Accept: application/json"]
    how = {"connections": given.connections, "seconds": given.seconds}

    with installation.web_server("promptops.asgi:application", processes=given.processes) as port:
        say("Warming up …")
        answer = warm(port, paths, secret, rounds=3 * given.processes)
        say("Measuring resolve …")
        steady = measure(port, paths, headers, **how)
        say("Measuring resolve while a label moves every second …")
        with Releases(len(paths)):
            changing = measure(port, paths, headers, **how)

    os.environ["RAW_ANSWER_BYTES"] = str(len(answer.content))
    os.environ["RAW_HEADER_BYTES"] = str(sum(len(name) + len(value) + 4 for name, value in answer.headers.raw) - 150)
    with installation.web_server("bench.raw_answer:application", processes=given.processes) as port:
        say("Measuring the limit …")
        limit = measure(port, paths, headers, **how)

    return {
        "measured": "resolve",
        "prompts": given.prompts,
        "versions_each": VERSIONS,
        "connections": given.connections,
        "web_processes": given.processes,
        "cores": len(os.sched_getaffinity(0)),
        "client": client_name(),
        "answer_bytes": len(answer.content),
        "resolve": figures(steady, limit),
        "resolve_with_a_release_a_second": figures(changing, limit),
        "limit": asdict(limit),
        "goal_requests_per_second": GOAL,
        "goal_reached": steady.requests_per_second >= GOAL and steady.errors == 0,
    }


def figures(load: Load, limit: Load) -> dict[str, Any]:
    share = load.requests_per_second / limit.requests_per_second
    return {**asdict(load), "share_of_limit": round(share, 3)}


def store(prompts: int) -> tuple[str, list[str]]:
    """Write the prompts, `production` on the version before the newest; return a token and the paths."""
    from promptops.accounts.actors import SYSTEM, user_actor
    from promptops.accounts.services import create_project, create_user
    from promptops.accounts.tokens import create_token

    owner = user_actor(create_user(email="owner@bench.example", name="Owner"))
    project = create_project(owner, name="Bench", slug="bench")
    _write(owner, project, [f"prompt-{number}" for number in range(prompts)])
    _token, secret = create_token(SYSTEM, project, name="bench", role="viewer")
    return secret, [f"/api/v1/prompts/prompt-{number}/resolve?label=production" for number in range(prompts)]


def _write(owner: Actor, project: Project, slugs: list[str]) -> None:
    """In bulk: the rows that the services would write one by one, in a minute."""
    from django.db import transaction

    from promptops.prompts.content import closure_sha256, content_of, content_sha256
    from promptops.prompts.models import Label, LabelMove, Prompt, PromptSpec, PromptVersion

    rows = Prompt.objects.bulk_create(
        Prompt(project=project, slug=slug, kind="chat", last_number=VERSIONS, search_text=slug) for slug in slugs
    )
    for number in range(1, VERSIONS + 1):
        contents = [
            content_of(
                {
                    "kind": "chat",
                    "syntax": "jinja",
                    "messages": [
                        {"role": "system", "content": TEXT},
                        {"role": "user", "content": f"{slug} {number}: {{{{ question }}}}"},
                    ],
                    "parameters": {"temperature": number / 10, "max_tokens": 500},
                }
            )
            for slug in slugs
        ]
        specs = PromptSpec.objects.bulk_create(
            PromptSpec(project=project, sha256=content_sha256(content), content=content) for content in contents
        )
        versions = PromptVersion.objects.bulk_create(
            PromptVersion(
                prompt=prompt,
                number=number,
                spec=spec,
                content_sha256=spec.sha256,
                closure_sha256=closure_sha256(spec.sha256),
                author_kind="user",
                author=owner.user,
                author_name=owner.name,
            )
            for prompt, spec in zip(rows, specs, strict=True)
        )
        if number == VERSIONS - 1:
            with transaction.atomic():
                labels = Label.objects.bulk_create(
                    Label(project=project, prompt=version.prompt, name="production", version=version)
                    for version in versions
                )
                LabelMove.objects.bulk_create(
                    LabelMove(label=label, to_version=label.version, actor_kind="user", actor_name=owner.name)
                    for label in labels
                )


def warm(port: int, paths: list[str], secret: str, *, rounds: int) -> httpx2.Response:
    """Ask for everything; return one answer. (Several connections, so that every process is asked.)"""
    for _round in range(rounds):
        with httpx2.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {secret}"}, timeout=30
        ) as client:
            answers = [client.get(path) for path in paths]
    for answer in answers:
        if answer.status_code != 200:
            sys.exit(f"{answer.url}: {answer.status_code} {answer.text[:500]}")
    return answers[0]


class Releases:
    """Moves a label every second in the background: each time everything of the project is asked of Django again."""

    def __init__(self, prompts: int) -> None:
        self._prompts = prompts
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        from django.db import connection

        from promptops.accounts.actors import SYSTEM
        from promptops.prompts.models import Prompt
        from promptops.prompts.services import move_label

        turn = 0
        while not self._over.wait(MOVE_SECONDS):
            turn += 1
            prompt = Prompt.objects.get(slug=f"prompt-{turn % self._prompts}")
            move_label(SYSTEM, prompt, "production", prompt.versions.get(number=VERSIONS))
        connection.close()


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
