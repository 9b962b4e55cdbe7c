"""`python -m bench.batch`: how fast a batch goes through, and whether somebody in front of a page has to wait for it.

1,000 runs on a provider on loopback that answers after 200 ms, by one `api` worker of two children with C calls in
flight between them. The limit is what the calls themselves take: 1000 / C × 0.2 s. Then single interactive runs are
started while a batch of 10,000 waits: how long until their call begins.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import installation

if TYPE_CHECKING:
    from promptops.accounts.actors import Actor
    from promptops.catalog.models import Endpoint
    from promptops.runs.services import Target

RUNS = 1000
LATENCY = 0.2
CONCURRENCY = 64
CHILDREN = 2
GOAL_RATIO = 1.5
WAITING = 10_000
INTERACTIVE = 40
PROMPT = {
    "kind": "chat",
    "syntax": "jinja",
    "messages": [
        {"role": "system", "content": "You label what customers write: positive, neutral or negative. One word."},
        {"role": "user", "content": "{{ text }}"},
    ],
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--runs", type=int, default=RUNS)
    options.add_argument("--concurrency", type=int, default=CONCURRENCY, help="Calls in flight, over both children.")
    options.add_argument("--latency", type=float, default=LATENCY, help="Seconds that the provider takes.")
    options.add_argument("--repeat", type=int, default=3, help="How often the batch is measured; the median counts.")
    options.add_argument(
        "--waiting", type=int, default=WAITING, help="Runs that wait while interactive ones are asked."
    )
    given = options.parse_args()
    environment = {"ALLOWED_PROVIDER_HOSTS": "127.0.0.1", "RUN_SLOTS": str(given.concurrency // CHILDREN)}
    with installation.temporary(durable=True, **environment), provider(given.latency) as (url, provider_process):
        from promptops.management.services.children import worker_command

        with installation.running(worker_command("api"), "worker-api") as worker:
            result = measure_all(given, url, {"worker": worker.pid, "provider": provider_process.pid})
    print(json.dumps(result, indent=2))


@contextmanager
def provider(latency: float) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The provider of the tests, in a process of its own."""
    command = [sys.executable, "-m", "tests.provider", "--latency", str(latency)]
    with subprocess.Popen(command, cwd=installation.ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads(process.stdout.readline() if process.stdout else "")["openai_url"], process
        finally:
            process.kill()


def measure_all(given: argparse.Namespace, url: str, pids: dict[str, int]) -> dict[str, Any]:
    say("Storing a prompt, and warming up …")
    actor, target, endpoint = store(url)
    run_batch(actor, target, endpoint, 2 * given.concurrency)
    rounds = []
    for number in range(given.repeat):
        say(f"Measuring a batch of {given.runs} ({number + 1} of {given.repeat}) …")
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        seconds = run_batch(actor, target, endpoint, given.runs)
        rounds.append((seconds, {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}))
    rounds.sort(key=lambda one: one[0])
    seconds, used = rounds[len(rounds) // 2]
    limit = given.runs / given.concurrency * given.latency
    say(f"Measuring interactive runs while {given.waiting} wait …")
    return {
        "measured": "batch",
        "runs": given.runs,
        "provider_latency_s": given.latency,
        "concurrency": given.concurrency,
        "worker_children": CHILDREN,
        "cores": len(os.sched_getaffinity(0)),
        "wall_s": round(seconds, 2),
        "wall_s_each_time": [round(one, 2) for one, _ in rounds],
        "limit_s": round(limit, 3),
        "ratio": round(seconds / limit, 3),
        "goal_ratio": GOAL_RATIO,
        "goal_reached": seconds / limit < GOAL_RATIO,
        "runs_per_second": round(given.runs / seconds, 1),
        "cpu_ms_per_run": {name: round(1000 * value / given.runs, 2) for name, value in used.items()},
        "interactive_while_a_batch_waits": interactive(actor, target, endpoint, given.waiting),
    }


def store(url: str) -> tuple[Actor, Target, Endpoint]:
    from promptops.accounts.actors import user_actor
    from promptops.accounts.services import create_project, create_user
    from promptops.catalog.services import create_credential, create_endpoint
    from promptops.prompts.services import create_prompt
    from promptops.runs.services import version_target

    owner = user_actor(create_user(email="owner@bench.example", name="Owner"))
    project = create_project(owner, name="Bench", slug="bench")
    create_prompt(owner, project, PROMPT, slug="label")
    credential = create_credential(
        owner, project, name="Loopback", provider="openai", api_key="sk-bench-0001", base_url=url
    )
    endpoint = create_endpoint(
        owner,
        project,
        slug="loopback",
        name="Loopback",
        provider="openai",
        model_name="test-model",
        credential=credential,
        price={"input_price": "1", "output_price": "2"},
    )
    return owner, version_target(project, "label", version=1), endpoint


def run_batch(actor: Actor, target: Target, endpoint: Endpoint, count: int) -> float:
    """Queue a batch, wait until its last run has ended, and return the seconds from the first call to then."""
    from django.db.models import Max, Min

    from promptops.runs.models import Attempt, Run, Status
    from promptops.runs.services import RunRequest, start_batch

    items = [RunRequest({"text": f"Parcel {number} came late, but it came."}) for number in range(count)]
    batch = start_batch(actor, target, endpoint, items)
    runs = Run.objects.filter(batch=batch)
    while runs.filter(status__in=[Status.QUEUED, Status.RUNNING]).exists():
        time.sleep(0.1)
    wrong = runs.exclude(status=Status.SUCCEEDED).first()
    if wrong is not None:
        sys.exit(f"A run has {wrong.status}: {wrong.error}")
    if Attempt.objects.filter(run_id__in=runs.values("pk")).count() != count:
        sys.exit("Calls were made more than once.")
    times = runs.aggregate(first=Min("started_at"), last=Max("ended_at"))
    return float((times["last"] - times["first"]).total_seconds())


def interactive(actor: Actor, target: Target, endpoint: Endpoint, waiting: int) -> dict[str, Any]:
    """Milliseconds from asking for an interactive run until its call begins, while a batch waits."""
    from promptops.runs.models import Attempt, Priority, Run, Status
    from promptops.runs.services import RunRequest, cancel_batch, start_batch, start_run

    items = [RunRequest({"text": f"Parcel {number} is not here yet."}) for number in range(waiting)]
    batch = start_batch(actor, target, endpoint, items)
    time.sleep(2)
    runs = []
    for number in range(INTERACTIVE):
        variables = {"text": f"Where is parcel {number}?"}
        runs.append(start_run(actor, target, endpoint, variables=variables, priority=Priority.INTERACTIVE))
        time.sleep(0.15)
    ids = [run.pk for run in runs]
    while Run.objects.filter(pk__in=ids, status__in=[Status.QUEUED, Status.RUNNING]).exists():
        time.sleep(0.1)
    still = Run.objects.filter(batch=batch, status=Status.QUEUED).count()
    cancel_batch(actor, batch)
    begun = dict(Attempt.objects.filter(run_id__in=ids).values_list("run_id", "started_at"))
    waits = sorted(1000 * (begun[run.pk] - run.created_at).total_seconds() for run in runs)
    return {
        "waiting": waiting,
        "still_waiting_after": still,
        "asked": INTERACTIVE,
        "queue_to_start_p50_ms": round(statistics.median(waits)),
        "queue_to_start_p95_ms": round(waits[int(0.95 * len(waits))]),
    }


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and of everything it started that lives."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(cpu_seconds(int(child)) for child in children)


def say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    main()
