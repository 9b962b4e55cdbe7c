"""`python -m bench.review`: the page of a change request for a prompt of 200 messages and 100 kB, half of them changed.

Measured is the server's time for the whole page: the first time that a process sees these two versions, and after.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import TYPE_CHECKING, Any

from bench import installation

if TYPE_CHECKING:
    from promptops.reviews.models import ChangeRequest

MESSAGES = 200
LINES = 8
GOAL_MS = 150.0


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--repeat", type=int, default=20, help="How often each is measured; the median counts.")
    given = options.parse_args()
    with installation.temporary(durable=False, ALLOWED_HOSTS="testserver"):
        print(json.dumps(measure(given.repeat), indent=2))


def measure(repeat: int) -> dict[str, Any]:
    """Return milliseconds of wall-clock and of CPU time, and the size of the page in bytes."""
    from django.test import Client

    from promptops.reviews import presenters

    change = proposed()
    client = Client()
    client.force_login(change.author)
    page = f"/p/{change.project.slug}/changes/{change.number}/"
    size = len(client.get(page).content)  # templates are compiled now
    result: dict[str, Any] = {"page_bytes": size, "goal_ms": GOAL_MS}
    for name in ("first", "again"):
        walls, processor = [], []
        for _ in range(repeat):
            if name == "first":
                presenters.forget_comparisons()
            wall, cpu = time.perf_counter(), time.process_time()
            answer = client.get(page)
            walls.append((time.perf_counter() - wall) * 1000)
            processor.append((time.process_time() - cpu) * 1000)
            if answer.status_code != 200:
                raise SystemExit(f"The page answered {answer.status_code}.")
        result[name] = {"wall_ms": round(statistics.median(walls)), "cpu_ms": round(statistics.median(processor))}
    return result


def proposed() -> ChangeRequest:
    """A change request between two versions of a long prompt."""
    from promptops.accounts.actors import user_actor
    from promptops.accounts.services import create_project, create_user
    from promptops.prompts.services import create_prompt, create_version, move_label
    from promptops.reviews.services import propose

    actor = user_actor(create_user(email="owner@bench.example", name="Owner"))
    project = create_project(actor, name="Bench", slug="bench")
    first = create_prompt(actor, project, content(changed=False), slug="long")
    move_label(actor, first.prompt, "production", first)
    second, _ = create_version(actor, first.prompt, content(changed=True))
    return propose(actor, first.prompt, version=second)


def content(*, changed: bool) -> dict[str, Any]:
    messages = []
    for number in range(MESSAGES):
        lines = [f"Line {line} of message {number}: the quick brown fox jumps over it." for line in range(LINES)]
        if changed and number % 2 == 0:
            lines[3] = f"Line 3 of message {number}: the slow red fox walks around it."
        messages.append({"role": "user" if number % 2 else "assistant", "content": "\n".join(lines)})
    return {"kind": "chat", "syntax": "jinja", "messages": messages}


if __name__ == "__main__":
    main()
