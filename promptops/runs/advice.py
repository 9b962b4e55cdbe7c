"""What to do about a run that failed: one sentence for each kind of error, for the person who looks at it."""

from __future__ import annotations

from django.utils.translation import gettext as _

from promptops.catalog.probe import advice
from promptops.engines import ErrorKind


def advice_on(kind: str) -> str:
    """Return what to do about a run's error of that kind; empty where nothing needs doing (it was cancelled)."""
    of_runs = {
        ErrorKind.AUTHENTICATION: _(
            "Have an admin replace the key of the model endpoint's credential, then run again."
        ),
        ErrorKind.CONTEXT_LENGTH: _("Shorten the prompt or its variables, or run on a model with a larger context."),
        ErrorKind.CONTENT_FILTER: _("The provider refused the text. Change the prompt or its variables."),
        ErrorKind.NOT_FOUND: _("Check the model's name on the endpoint: the provider does not offer it to this key."),
        ErrorKind.BAD_REQUEST: _("Change what the message names: a parameter, the output schema, or the messages."),
        ErrorKind.REFUSED_ADDRESS: _("An administrator of the installation can allow the host of this base URL."),
        ErrorKind.UNAVAILABLE: _("Install what the message names on the worker's machine, then run again."),
        ErrorKind.SERVER_ERROR: _(
            "The provider failed on its side. Run it again; if it stays, look at its status page."
        ),
        ErrorKind.TRUNCATED_STREAM: _("The connection broke in the middle of the answer. Run it again."),
        ErrorKind.TIMEOUT: _("Run it again; a shorter answer (“max_tokens”) takes less time."),
        ErrorKind.CANCELLED: "",
        "worker_lost": _("Look at the worker's log and memory. If other runs work, it is this one: make it smaller."),
        "worker_stopped": _("Run it again."),
    }
    if kind in of_runs:
        return of_runs[kind]
    return advice(kind) if kind in set(ErrorKind) else ""


def finish_note(reason: str) -> str:
    """Return what is odd about how an answer ended; empty when it ended by itself."""
    return {
        "length": _("Cut off: the longest answer (“max_tokens”) was reached."),
        "content_filter": _("The provider's content filter ended the answer."),
        "incomplete": _("Incomplete: this is what had come when the call failed."),
        "cancelled": _("Incomplete: the run was cancelled here."),
        "tool_calls": _("The model asked for a tool."),
    }.get(reason, "")
