"""What the page of a change request shows, worked out: where it stands, what is missing, and what was said where."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from promptops import templating
from promptops.accounts.audit_names import named_events
from promptops.accounts.models import ApiToken
from promptops.accounts.querysets import tokens_of
from promptops.prompts.diff_view import Comparison, comparison_of
from promptops.prompts.models import PromptVersion
from promptops.prompts.selectors import diff_contents
from promptops.reviews.diff_lines import Place
from promptops.reviews.forms import check_name
from promptops.reviews.models import ChangeRequest, CheckResult, ReviewComment, Verdict
from promptops.reviews.querysets import verdicts_of
from promptops.reviews.selectors import Standing, history_of, is_outdated, threads_of

State = ChangeRequest.State


@dataclass(frozen=True)
class Told:
    """How a step of the story is told: what somebody did, and its icon (named so that the build finds it)."""

    text: str | Promise
    icon: str


STATES = {
    State.DRAFT: Told(State.DRAFT.label, icon="pencil"),
    State.OPEN: Told(State.OPEN.label, icon="git-pull-request"),
    State.CHANGES_REQUESTED: Told(State.CHANGES_REQUESTED.label, icon="message-report"),
    State.APPROVED: Told(State.APPROVED.label, icon="circle-check"),
    State.OUTDATED: Told(State.OUTDATED.label, icon="clock-exclamation"),
    State.MERGED: Told(State.MERGED.label, icon="git-merge"),
    State.REJECTED: Told(State.REJECTED.label, icon="circle-x"),
    State.WITHDRAWN: Told(State.WITHDRAWN.label, icon="arrow-back-up"),
}
STATE_ICONS = {state: told.icon for state, told in STATES.items()}
EVENTS = {
    "change.proposed": Told(lazy("proposed version %(candidate)s for “%(label)s”"), icon="git-pull-request"),
    "change.opened": Told(lazy("asked for a review"), icon="eye"),
    "change.amended": Told(lazy("amended it: version %(to)s takes the place of %(from)s"), icon="git-commit"),
    "change.rebased": Told(lazy("rebased it: version %(to)s takes the place of %(from)s"), icon="git-branch"),
    "change.edited": Told(lazy("changed what it says of itself"), icon="pencil"),
    "change.merged": Told(lazy("merged it"), icon="git-merge"),
    "change.glass_broken": Told(lazy("broke the glass: merged it without what the policy asks"), icon="alert-triangle"),
    "change.withdrawn": Told(lazy("withdrew it"), icon="arrow-back-up"),
    "change.rejected": Told(lazy("rejected it"), icon="circle-x"),
    "change.reopened": Told(lazy("opened it again"), icon="refresh"),
}
CLOSING = ("change.rejected", "change.withdrawn", "change.glass_broken")
VERDICTS = {
    Verdict.Kind.APPROVE: Told(lazy("approved version %(number)d"), icon="circle-check"),
    Verdict.Kind.REQUEST_CHANGES: Told(lazy("requested changes on version %(number)d"), icon="message-report"),
    Verdict.Kind.DISMISS: Told(lazy("dismissed the verdict of %(name)s"), icon="ban"),
}
EVENTS_SHOWN = 200
COMPARISONS_KEPT = 32
RECENT_USE = dt.timedelta(days=30)
CALLERS_SHOWN = 6


@dataclass(frozen=True)
class Requirement:
    """One thing that a merge needs; ``is_met`` is None where it only informs."""

    code: str
    is_met: bool | None
    text: str
    detail: str = ""


@dataclass
class Thread:
    """A remark with its replies. ``is_outdated``: the line that it is on is not shown any more."""

    first: ReviewComment
    replies: list[ReviewComment]
    is_outdated: bool
    can_apply: bool

    @property
    def is_resolved(self) -> bool:
        return self.first.is_resolved

    @property
    def has_place(self) -> bool:
        return self.first.message_index is not None

    @property
    def comments(self) -> list[ReviewComment]:
        return [self.first, *self.replies]


@dataclass
class Entry:
    """One step of the story: what somebody did, said, or decided."""

    at: dt.datetime
    kind: str  # event | verdict | thread | pointer
    who: str
    text: str = ""
    body: str = ""
    icon: str = "point"
    thread: Thread | None = None
    verdict: Verdict | None = None
    is_past: bool = False


@dataclass(frozen=True)
class ShownCheck:
    """What a check found."""

    name: str
    label: str
    result: CheckResult
    is_required: bool
    findings: list[dict[str, Any]] = field(default_factory=list)


def compared(change: ChangeRequest) -> Comparison:
    """Return the difference that is reviewed; without a version that stands there, everything is new."""
    new = change.candidate.content
    old = change.replaces.content if change.replaces else _nothing_of(new)
    if templating.may_include(old) or templating.may_include(new):  # what is included may change at any time
        return comparison_of(diff_contents(change.project, old, new), old["messages"], new["messages"])
    return _remembered(change.replaces, change.candidate, get_language())


def forget_comparisons() -> None:
    """Forget the comparisons that are kept, as if the process had just started."""
    _remembered.cache_clear()


def headline(change: ChangeRequest, standing: Standing) -> str:
    """What is missing before it can be merged, in one sentence; or how it ended."""
    who = {"who": change.closed_by_name, "label": change.label, "number": change.candidate.number}
    ended = {
        State.MERGED: _("%(who)s merged it: “%(label)s” went to version %(number)d."),
        State.REJECTED: _("%(who)s rejected it."),
        State.WITHDRAWN: _("%(who)s withdrew it."),
    }
    if change.state in ended:
        return ended[State(change.state)] % who
    if change.state == State.DRAFT:
        return _("A draft: nobody was asked for a review yet.")
    if standing.can_merge:
        return _("Nothing is missing: it can be merged.")
    return " ".join(_missing(code, change, standing) for code in standing.codes)


def _missing(code: str, change: ChangeRequest, standing: Standing) -> str:
    if code == "approvals":
        lacking = max(1, standing.required_approvals - len(standing.approvals))
        return ngettext("It needs %d more approval.", "It needs %d more approvals.", lacking) % lacking
    if code == "changes_requested":
        return _("%s requested changes.") % _names([one.reviewer.name for one in standing.objections])
    return next(one.text for one in standing.blockers if one.code == code)


def requirements(change: ChangeRequest, standing: Standing) -> list[Requirement]:
    """What a merge needs, met or not, in the order in which people go through it."""
    found = []
    policy, codes = standing.policy, standing.codes
    if standing.is_protected and policy is not None:
        given, wanted = len(standing.approvals), standing.required_approvals
        names = _names([one.reviewer.name for one in standing.approvals])
        found.append(
            Requirement(
                "approvals",
                given >= wanted,
                ngettext("%(given)d of %(wanted)d approval", "%(given)d of %(wanted)d approvals", wanted)
                % {"given": given, "wanted": wanted},
                names,
            )
        )
        if policy.owners_required:
            found.append(Requirement("owners", "owners" not in codes, _("An owner of the folder approved")))
    else:
        found.append(Requirement("free", None, _("“%s” is not protected: no approval is needed") % change.label))
    if standing.objections:
        names = _names([one.reviewer.name for one in standing.objections])
        found.append(Requirement("changes_requested", False, _("Changes requested"), names))
    if "outdated" in codes:
        found.append(Requirement("outdated", False, _("“%s” moved since this was proposed") % change.label))
    until = standing.hold_until
    if until is not None:
        over = until <= timezone.now()
        text = _("The wait after the last approval is over") if over else _("Wait after the last approval, until")
        found.append(Requirement("hold", over, text))
    return found


def shown_checks(standing: Standing, comparison: Comparison) -> list[ShownCheck]:
    """The newest results, those that must pass first."""
    checks = []
    for result in standing.checks:
        findings = list(result.findings)
        if result.name == "contract":  # said in the reader's language
            findings = [{"severity": "warning", "message": text} for text in comparison.summary.breaking]
        is_required = result.name in standing.required_checks
        checks.append(ShownCheck(result.name, check_name(result.name), result, is_required, findings))
    return sorted(checks, key=lambda one: (not one.is_required, one.name))


def threads_for(change: ChangeRequest, *, may_write: bool) -> list[Thread]:
    """Every thread, with whether its line is still on the page and its suggestion still applies."""
    shown = []
    for first, replies in threads_of(change):
        suggests = first.suggestion is not None and first.applied_in_id is None
        can_apply = suggests and may_write and change.is_undecided and first.version_id == change.candidate_id
        shown.append(Thread(first, replies, is_outdated(first, change), can_apply))
    return shown


def by_place(threads: Sequence[Thread], change: ChangeRequest) -> dict[Place, list[Thread]]:
    """The threads that stand beside a line that the page shows."""
    found: dict[Place, list[Thread]] = {}
    for thread in threads:
        first = thread.first
        if first.message_index is not None and not thread.is_outdated:
            side = "new" if first.version_id == change.candidate_id and first.side == "new" else "old"
            found.setdefault((first.message_index, side, first.line), []).append(thread)
    return found


def story(change: ChangeRequest, threads: Sequence[Thread]) -> list[Entry]:
    """What happened, oldest first: events, verdicts and what was said (beside a line: where)."""
    entries = [
        *_events(change),
        *(_verdict(one, change) for one in verdicts_of(change)),
        *(_said(thread) for thread in threads),
    ]
    return sorted(entries, key=lambda one: one.at)


def callers(change: ChangeRequest) -> list[ApiToken]:
    """The tokens that are in use, the last used first: whose services a breaking change concerns."""
    since = timezone.now() - RECENT_USE
    used = tokens_of(change.project).filter(revoked_at=None, last_used_at__gte=since)
    return list(used.order_by("-last_used_at", "-id")[:CALLERS_SHOWN])


@lru_cache(maxsize=COMPARISONS_KEPT)
def _remembered(before: PromptVersion | None, after: PromptVersion, _language: str | None) -> Comparison:
    """Versions never change, and a page is looked at again after each act on it."""
    new = after.content
    old = before.content if before else _nothing_of(new)
    return comparison_of(templating.diff(old, new), old["messages"], new["messages"])


def _events(change: ChangeRequest) -> list[Entry]:
    """What the audit log knows; verdicts tell of themselves."""
    found = []
    for row in named_events(change.project, history_of(change)[:EVENTS_SHOWN]):
        if row.event.action in EVENTS:
            told = EVENTS[row.event.action]
            known = {"candidate": "?", "from": "?", "to": "?", "label": change.label, **row.detail}
            body = change.closing_note if row.event.action in CLOSING else ""
            found.append(Entry(row.event.at, "event", row.actor.name, told.text % known, body, told.icon))
    return found


def _verdict(verdict: Verdict, change: ChangeRequest) -> Entry:
    kind = Verdict.Kind(verdict.kind)
    text = VERDICTS[kind].text % {"name": verdict.reviewer.name, "number": verdict.version.number}
    past = verdict.round != change.round and kind != Verdict.Kind.DISMISS
    icon = VERDICTS[kind].icon
    return Entry(verdict.at, "verdict", verdict.actor_name, text, verdict.body, icon, verdict=verdict, is_past=past)


def _said(thread: Thread) -> Entry:
    first = thread.first
    beside = thread.has_place and not thread.is_outdated
    return Entry(first.at, "pointer" if beside else "thread", first.author_name, icon="message", thread=thread)


def _names(names: Sequence[str]) -> str:
    return ", ".join(names)


def _nothing_of(content: dict[str, Any]) -> dict[str, Any]:
    kind = {name: content[name] for name in ("kind", "syntax")}
    return {**kind, "messages": [], "parameters": {}, "variables": {}, "output_schema": None}


def settled_content(
    merged: dict[str, Any], conflicts: Sequence[templating.MergeConflict], chosen: Sequence[Any]
) -> dict[str, Any]:
    """Return merged content with what was chosen at each conflict, in the order of ``conflicts``.

    Where whole messages conflict, both the present part and the choice are lists of messages.
    """
    content: dict[str, Any] = json.loads(json.dumps(merged))
    # From the end: a list of messages that takes the place of a longer one shifts what follows.
    for conflict, value in reversed(list(zip(conflicts, chosen, strict=True))):
        steps = conflict.path.split(".")
        if steps[0] == "messages" and len(steps) == 2:
            at = int(steps[1])
            content["messages"][at : at + len(conflict.ours or [])] = value or []
            continue
        target: Any = content
        for step in steps[:-1]:
            target = target[int(step)] if isinstance(target, list) else target.setdefault(step, {})
        if value is None and steps[-1] != "output_schema":
            target.pop(steps[-1], None)
        else:
            target[steps[-1]] = value
    return content
