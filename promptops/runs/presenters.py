"""What the templates show of runs, put together from rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from promptops.runs.advice import advice_on, finish_note
from promptops.runs.liveness import QueueState, Waiting, waiting_for
from promptops.runs.models import Run, Status


@dataclass(frozen=True)
class Panel:
    """One run in a panel: streamed while it is queued or running, its outcome afterwards.

    ``elapsed_ms`` is how long it has been running; the browser counts on from there by its own clock.
    """

    run: Run
    output: str
    waiting: Waiting | None
    elapsed_ms: int | None
    may_cancel: bool
    result_url: str
    result_target: str = ""

    @property
    def active(self) -> bool:
        return not Status(self.run.status).is_terminal

    @property
    def cancelling(self) -> bool:
        return self.active and self.run.cancel_requested_at is not None

    @property
    def what(self) -> str:
        """The version that runs, or that it is a draft."""
        return f"v{self.run.version.number}" if self.run.version else _("draft")

    @property
    def error(self) -> str:
        return "" if self.run.status != Status.FAILED else str((self.run.error or {}).get("message", ""))

    @property
    def advice(self) -> str:
        return advice_on(str((self.run.error or {}).get("kind", ""))) if self.error else ""

    @property
    def finish_note(self) -> str:
        return finish_note(self.run.finish_reason) if self.output else ""


def panel_of(
    run: Run, output: str | None, states: Mapping[str, QueueState], *, may_run: bool, project_slug: str
) -> Panel:
    """Return the panel of a run; ``output`` is its text (None while there is none)."""
    active = not Status(run.status).is_terminal
    running = run.status == Status.RUNNING and run.started_at is not None
    return Panel(
        run=run,
        output=(output or "") if not active else "",
        waiting=waiting_for(run, states.get(run.queue, QueueState(run.queue))),
        elapsed_ms=round((timezone.now() - run.started_at).total_seconds() * 1000)
        if running and run.started_at
        else None,
        may_cancel=may_run and active,
        result_url=reverse("runs:panel", args=[project_slug, run.pk]),
    )


def stream_url(project_slug: str, runs: Sequence[Run]) -> str:
    """The event stream of these runs: one connection for all of them."""
    return f"{reverse('runs:stream', args=[project_slug])}?{'&'.join(f'run={run.pk}' for run in runs)}"


def error_lines(errors: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """Return the errors of a request as (place in the editor, text): ``messages.1.content`` is “Message 2”."""
    return [(_place(path), text) for path, texts in errors.items() for text in texts]


def _place(path: str) -> str:
    names = {
        "parameters": _("Parameters"),
        "output_schema": _("Output schema"),
        "endpoint": _("Model"),
        "messages": _("Messages"),
        "variables": _("Variables"),
        "values": _("Values to try"),
        "version": _("Version"),
    }
    first, _dot, rest = path.partition(".")
    part = rest.partition(".")[0]
    if first == "messages" and part.isdecimal():
        return _("Message %d") % (int(part) + 1)
    if first == "variables" and rest:
        return _("Variable “%s”") % rest
    if first == "parameters" and rest:
        return _("Parameter “%s”") % rest
    return names.get(first, path)
