"""Writes on runs and batches. Rows are the truth; a message to a worker only rings the bell after the commit."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from promptops.accounts.actors import Actor
from promptops.accounts.models import Project
from promptops.accounts.policies import Permission, require
from promptops.audit import services as audit
from promptops.catalog.models import Endpoint, Provider
from promptops.core.errors import Conflict, Invalid
from promptops.core.ids import uuid7
from promptops.prompts.models import Prompt, PromptSpec, PromptVersion
from promptops.prompts.querysets import drafts_of, versions_of
from promptops.runs.doorbell import ring
from promptops.runs.models import Batch, Priority, Run, RunPayload, Status
from promptops.runs.recording import count_activity
from promptops.runs.targets import (
    MAX_ITEMS,
    Prepared,
    RunRequest,
    Target,
    composed,
    draft_target,
    get_endpoint,
    parameters_for,
    prepare,
    version_target,
)

__all__ = [
    "RunRequest",
    "Target",
    "cancel_batch",
    "cancel_run",
    "draft_target",
    "get_endpoint",
    "pause_batch",
    "replay_run",
    "resume_batch",
    "start_batch",
    "start_draft_run",
    "start_run",
    "start_runs",
    "version_target",
]

ROWS_AT_ONCE = 1000
SEED_LIMIT = 2**31


def start_run(
    actor: Actor,
    target: Target,
    endpoint: Endpoint,
    *,
    variables: Mapping[str, Any],
    parameters: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    priority: Priority = Priority.LIVE,
) -> Run:
    """Queue one run: see ``start_runs``. ``Priority.INTERACTIVE`` is for somebody who waits in front of a page."""
    request = RunRequest(variables, metadata or {})
    runs = start_runs(actor, target, endpoint, [request], parameters=parameters, priority=priority)
    return runs[0]


@transaction.atomic
def start_draft_run(
    actor: Actor,
    project: Project,
    content: Mapping[str, Any],
    endpoint: Endpoint,
    *,
    prompt: Prompt | None = None,
    variables: Mapping[str, Any],
) -> Run:
    """Queue what somebody is editing, for somebody who waits in front of it.

    Where the text says the same as the prompt's newest version, or as the version that the person's draft began with,
    it is a run of that version; otherwise the run points at the draft's own spec. Raises as ``start_runs``, also
    Invalid for malformed content (``errors`` by path) and Conflict for an archived prompt.
    """
    require(actor, project, Permission.RUN)
    if prompt is not None and prompt.archived_at is not None:
        raise Conflict(_("“%s” is archived. Restore it to run it.") % prompt.slug, code="archived")
    target = draft_target(project, content, prompt=prompt)
    if prompt is not None:
        target = replace(target, version=_version_that_says(target.spec, prompt, actor))
    return start_run(actor, target, endpoint, variables=variables, priority=Priority.INTERACTIVE)


@transaction.atomic
def start_runs(
    actor: Actor,
    target: Target,
    endpoint: Endpoint,
    requests: Sequence[RunRequest],
    *,
    parameters: Mapping[str, Any] | None = None,
    priority: Priority = Priority.LIVE,
    stream: bool = True,
    retry_safe: bool = True,
    batch: Batch | None = None,
    path: str = "",
) -> list[Run]:
    """Queue runs, all or none, in the caller's transaction; workers hear of them when it commits.

    Args:
        target: from ``version_target`` or ``draft_target``.
        endpoint: from ``get_endpoint``; must belong to the same project.
        parameters: over those of the prompt and the endpoint.
        stream: ask the provider for tokens as they come, so that somebody can watch.
        retry_safe: False: a call of which it is unknown whether it began is never made again.
        path: where the requests stand in what the caller got, such as ``items.{index}.``, for the paths of errors.

    Raises:
        Invalid: variables, parameters or metadata do not fit, or the template fails with them (``errors`` by path).
        Forbidden, NotFound: the actor may not run prompts in this project.
        Conflict: the endpoint is archived, or an include cannot be put in (code ``include_broken``).
    """
    project = target.spec.project
    require(actor, project, Permission.RUN)
    _check_together(project, target, endpoint)
    merged = parameters_for(target, endpoint, parameters or {})
    composition = composed(target)
    prepared = prepare(target, composition, requests, path=path)
    common = {
        "project": project,
        "batch": batch,
        "prompt": target.prompt,
        "version": target.version,
        "spec": target.spec,
        "label": target.label,
        "endpoint": endpoint,
        "queue": endpoint.queue,
        "priority": priority,
        "request_model": endpoint.model_name,
        "actor_kind": actor.kind,
        "actor_user": actor.user,
        "token_id": actor.token.pk if actor.token else None,
        "stream": stream,
        "retry_safe": retry_safe,
    }
    runs, payloads = _rows(common, merged, prepared, endpoint, composition.as_json())
    Run.objects.bulk_create(runs, batch_size=ROWS_AT_ONCE)
    RunPayload.objects.bulk_create(payloads, batch_size=ROWS_AT_ONCE)
    queue = endpoint.queue
    transaction.on_commit(lambda: ring(queue), robust=True)
    return runs


@transaction.atomic
def start_batch(
    actor: Actor,
    target: Target,
    endpoint: Endpoint,
    items: Sequence[RunRequest],
    *,
    parameters: Mapping[str, Any] | None = None,
    priority: Priority = Priority.BACKFILL,
) -> Batch:
    """Queue up to 10,000 runs of one version as a batch, all or none. Raises as ``start_runs``; paths ``items.3.…``."""
    require(actor, target.spec.project, Permission.RUN)
    if target.version is None or target.prompt is None:
        text = _("A batch runs a saved version.")
        raise Invalid(text, errors={"version": [text]})
    if not 1 <= len(items) <= MAX_ITEMS:
        text = _("A batch has 1 to %d items.") % MAX_ITEMS
        raise Invalid(text, errors={"items": [text]})
    batch = Batch.objects.create(
        project=target.spec.project,
        prompt=target.prompt,
        version=target.version,
        label=target.label,
        endpoint=endpoint,
        total=len(items),
        created_by=actor.user,
    )
    start_runs(
        actor,
        target,
        endpoint,
        items,
        parameters=parameters,
        priority=priority,
        stream=False,
        batch=batch,
        path="items.{index}.",
    )
    _record(actor, batch, "batch.started", items=len(items), version=target.version.number, endpoint=endpoint.slug)
    return batch


def replay_run(actor: Actor, run: Run, *, endpoint: Endpoint | None = None) -> Run:
    """Queue the same again: spec, included versions, variables, parameters; on another endpoint, if one is given.

    Raises as ``start_runs``.
    """
    payload = RunPayload.objects.get(run_id=run.pk)
    target = Target(spec=run.spec, prompt=run.prompt, version=run.version, label=run.label, recorded=payload.includes)
    return start_run(
        actor,
        target,
        endpoint or run.endpoint,
        variables=payload.variables,
        parameters=payload.parameters,
        metadata={**run.metadata, "replay_of": str(run.pk)},
        priority=Priority.INTERACTIVE,
    )


@transaction.atomic
def cancel_run(actor: Actor, run: Run) -> Run:
    """Cancel a run: at once while it is queued, within a second while it is running. What has ended stays so."""
    require(actor, run.project, Permission.RUN)
    _cancel(Run.objects.filter(pk=run.pk))
    run.refresh_from_db()
    return run


@transaction.atomic
def cancel_batch(actor: Actor, batch: Batch) -> Batch:
    """Cancel what has not ended; running calls are cut off within a second."""
    batch = _locked(actor, batch)
    if batch.state != Batch.State.CANCELLED:
        _set_state(batch, Batch.State.CANCELLED)
        _cancel(Run.objects.filter(batch=batch))
        _record(actor, batch, "batch.cancelled")
    return batch


@transaction.atomic
def pause_batch(actor: Actor, batch: Batch) -> Batch:
    """Let nothing of the batch begin until it is resumed; what is running goes on. Raises Conflict when cancelled."""
    batch = _locked(actor, batch)
    _refuse_cancelled(batch)
    if batch.state == Batch.State.ACTIVE:
        _set_state(batch, Batch.State.PAUSED)
        Run.objects.filter(batch=batch, status=Status.QUEUED).update(held=True)
        _record(actor, batch, "batch.paused")
    return batch


@transaction.atomic
def resume_batch(actor: Actor, batch: Batch) -> Batch:
    """Go on with a paused batch. Raises Conflict when cancelled."""
    batch = _locked(actor, batch)
    _refuse_cancelled(batch)
    if batch.state == Batch.State.PAUSED:
        _set_state(batch, Batch.State.ACTIVE)
        Run.objects.filter(batch=batch, status=Status.QUEUED, held=True).update(held=False)
        _record(actor, batch, "batch.resumed")
        queue = batch.endpoint.queue
        transaction.on_commit(lambda: ring(queue), robust=True)
    return batch


def _version_that_says(spec: PromptSpec, prompt: Prompt, actor: Actor) -> PromptVersion | None:
    """The newest version of the prompt, or the one that the person's draft began with, if it is that text."""
    drafts = drafts_of(spec.project, owner_id=actor.user_id or 0).filter(prompt=prompt, base_version__isnull=False)
    numbers = [prompt.last_number, *drafts.values_list("base_version__number", flat=True)]
    return versions_of(prompt).filter(spec=spec, number__in=numbers).first()


def _rows(
    common: Mapping[str, Any],
    parameters: Mapping[str, Any],
    prepared: Sequence[Prepared],
    endpoint: Endpoint,
    includes: list[dict[str, Any]],
) -> tuple[list[Run], list[RunPayload]]:
    now = timezone.now()
    runs, payloads = [], []
    for one in prepared:
        sent = dict(parameters)
        if endpoint.provider == Provider.LOCAL and "seed" not in sent:
            # Ours to choose, so it is chosen here: the run can be repeated exactly.
            sent["seed"] = random.randrange(SEED_LIMIT)  # noqa: S311
        run_id = uuid.UUID(int=uuid7().int)
        runs.append(Run(id=run_id, seed=sent.get("seed"), metadata=one.metadata, created_at=now, **common))
        texts = {"variables": one.variables, "messages": one.messages, "parameters": sent, "includes": includes}
        payloads.append(RunPayload(run_id=run_id, **texts))
    return runs, payloads


def _check_together(project: Project, target: Target, endpoint: Endpoint) -> None:
    if endpoint.project_id != project.pk or (target.prompt is not None and target.prompt.project_id != project.pk):
        raise ValueError("prompt and endpoint belong to different projects")
    if endpoint.archived_at is not None:
        raise Conflict(_("This model endpoint is archived. Choose another one."), code="endpoint_archived")


def _cancel(runs: QuerySet[Run]) -> None:
    """End those that wait, and have those cut off that run. Whichever end is recorded first wins.

    All are locked first: a worker may just be giving one back to the queue, which would be seen neither as waiting nor
    as running.
    """
    locked = runs.filter(status__in=[Status.QUEUED, Status.RUNNING]).order_by("id").select_for_update()
    open_ones = dict(locked.values_list("pk", "status"))
    waiting = [pk for pk, status in open_ones.items() if status == Status.QUEUED]
    now = timezone.now()
    Run.objects.filter(pk__in=waiting).update(status=Status.CANCELLED, cancel_requested_at=now, ended_at=now)
    running = Run.objects.filter(pk__in=[pk for pk in open_ones if open_ones[pk] == Status.RUNNING])
    running.filter(cancel_requested_at=None).update(cancel_requested_at=now)
    with connection.cursor() as cursor:
        count_activity(cursor, waiting)


def _locked(actor: Actor, batch: Batch) -> Batch:
    require(actor, batch.project, Permission.RUN)
    return Batch.objects.select_for_update(of=("self",)).select_related("project", "endpoint").get(pk=batch.pk)


def _refuse_cancelled(batch: Batch) -> None:
    if batch.state == Batch.State.CANCELLED:
        raise Conflict(_("This batch was cancelled."), code="batch_cancelled")


def _set_state(batch: Batch, state: Batch.State) -> None:
    batch.state = state
    batch.save(update_fields=["state"])


def _record(actor: Actor, batch: Batch, action: str, **detail: Any) -> None:
    audit.record(actor, action, project_id=batch.project_id, target_kind="batch", target_id=batch.pk, detail=detail)
