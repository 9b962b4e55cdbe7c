"""Proposing a version for a label, amending the proposal, and closing it without a merge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import IntegrityError, connection, transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from promptops.accounts.actors import Actor
from promptops.accounts.models import Project, User
from promptops.accounts.policies import Permission, can, require
from promptops.core.database import broken_rule
from promptops.core.errors import Conflict, Forbidden, Invalid, NotFound
from promptops.prompts.models import Prompt, PromptVersion
from promptops.prompts.services.labels import COMPUTED, NAME
from promptops.prompts.services.versions import clean_note, locked_prompt
from promptops.reviews.models import ChangeRequest
from promptops.reviews.selectors import authors_of, possible_reviewers
from promptops.reviews.services.standing import (
    State,
    live_version,
    locked_change,
    person_of,
    record,
    run_checks,
    settle,
)

MAX_TITLE = 200
MAX_TEXT = 20_000


@transaction.atomic
def propose(
    actor: Actor,
    prompt: Prompt,
    *,
    version: PromptVersion,
    label: str = "production",
    title: str = "",
    description: str = "",
    reviewers: Sequence[User] = (),
    draft: bool = False,
) -> ChangeRequest:
    """Propose that a version shall stand under a label, in place of the one that stands there now.

    Args:
        title: the version's message, where it is left out.
        reviewers: members whose review is asked for; they must be able to review and have written none of it.
        draft: whether reviews are asked for later, by ``request_review``.

    Raises:
        Invalid: title, description, label or reviewers (``errors`` by field).
        NotFound: the version is of another prompt.
        Conflict: it stands there already (``already_live``), is proposed already (``already_proposed``, ``number``),
            or the prompt is archived.
    """
    require(actor, prompt.project, Permission.WRITE)
    author = person_of(actor)
    if version.prompt_id != prompt.pk:
        raise NotFound(_("This prompt has no such version."))
    if not NAME.fullmatch(label) or label == COMPUTED:
        text = _("Choose a label that can be moved, such as “production”.")
        raise Invalid(text, errors={"label": [text]})
    prompt = locked_prompt(prompt)
    replaces = live_version(prompt, label)
    _refuse_live(replaces, version, label)
    change = ChangeRequest(
        project=prompt.project,
        prompt=prompt,
        number=_next_number(prompt.project),
        label=label,
        candidate=version,
        replaces=replaces,
        title=clean_title(title or version.message.strip().split("\n")[0][:MAX_TITLE] or f"{prompt.slug} {version}"),
        description=clean_note(description, "description", MAX_TEXT),
        author=author,
        author_name=author.name,
        state=State.DRAFT if draft else State.OPEN,
    )
    _save(change)
    _ask(change, reviewers)
    run_checks(change)
    record(
        actor,
        "proposed",
        change,
        candidate=version.number,
        replaces=replaces.number if replaces else None,
        reviewers=sorted(user.pk for user in reviewers),
    )
    return settle(change)


@transaction.atomic
def edit_request(
    actor: Actor,
    change: ChangeRequest,
    *,
    title: str | None = None,
    description: str | None = None,
    reviewers: Sequence[User] | None = None,
) -> ChangeRequest:
    """Change title, description or whose review is asked for; None leaves what is there. Approvals stay.

    Raises:
        Invalid: see ``propose``.
        Conflict: it is closed (``wrong_state``).
    """
    require(actor, change.project, Permission.WRITE)
    change = locked_change(change, *ChangeRequest.UNDECIDED)
    changed = []
    if title is not None and clean_title(title) != change.title:
        change.title = clean_title(title)
        changed.append("title")
    if description is not None and clean_note(description, "description", MAX_TEXT) != change.description:
        change.description = clean_note(description, "description", MAX_TEXT)
        changed.append("description")
    change.save(update_fields=["title", "description"])
    if reviewers is not None and set(reviewers) != set(change.reviewers.all()):
        _ask(change, reviewers)
        changed.append("reviewers")
    if changed:
        record(actor, "edited", change, fields=changed, reviewers=sorted(change.reviewers.values_list("pk", flat=True)))
    return settle(change)


@transaction.atomic
def request_review(actor: Actor, change: ChangeRequest, *, reviewers: Sequence[User] | None = None) -> ChangeRequest:
    """Open a draft for review. ``reviewers`` as in ``propose``; None leaves who was named.

    Raises:
        Conflict: it is no draft (``wrong_state``), or the label moved since: then it is ``outdated`` at once.
    """
    require(actor, change.project, Permission.WRITE)
    change = locked_change(change, State.DRAFT)
    if reviewers is not None:
        _ask(change, reviewers)
    change.state = State.OPEN
    record(actor, "opened", change, reviewers=sorted(change.reviewers.values_list("pk", flat=True)))
    return settle(change)


@transaction.atomic
def replace_candidate(actor: Actor, change: ChangeRequest, *, version: PromptVersion) -> ChangeRequest:
    """Amend: propose another version instead. What was said of the former candidate counts no more.

    Raises:
        NotFound: the version is of another prompt.
        Conflict: it is closed, or the version stands there already.
    """
    require(actor, change.project, Permission.WRITE)
    person_of(actor)
    if version.prompt_id != change.prompt_id:
        raise NotFound(_("This prompt has no such version."))
    locked_prompt(change.prompt)
    change = locked_change(change, *ChangeRequest.UNDECIDED)
    if change.candidate == version:
        return change
    _refuse_live(change.replaces, version, change.label)
    return put_candidate(actor, change, version, change.replaces, "amended")


def put_candidate(
    actor: Actor, change: ChangeRequest, version: PromptVersion, replaces: PromptVersion | None, action: str
) -> ChangeRequest:
    """Give a locked, undecided change request another candidate: everybody looks again."""
    former = change.candidate
    change.candidate, change.replaces = version, replaces
    if change.state in ChangeRequest.IN_REVIEW:
        change.state = State.OPEN
    try:
        with transaction.atomic():
            change.save(update_fields=["candidate", "replaces", "state"])
    except IntegrityError as error:
        raise _told(error, change) from None
    change.refresh_from_db(fields=["round"])
    run_checks(change)
    record(
        actor,
        action,
        change,
        **{"from": former.number, "to": version.number, "replaces": replaces.number if replaces else None},
    )
    return settle(change)


@transaction.atomic
def withdraw(actor: Actor, change: ChangeRequest, *, reason: str = "") -> ChangeRequest:
    """Take a proposal back: its author, or an admin.

    Raises:
        Forbidden: somebody else.
        Conflict: it is closed (``wrong_state``).
    """
    require(actor, change.project, Permission.WRITE)
    if person_of(actor).pk != change.author_id and not can(actor, change.project, Permission.ADMIN):
        raise Forbidden(_("Its author withdraws a change request, or an admin. A reviewer can reject it."))
    return _close(actor, change, State.WITHDRAWN, reason)


@transaction.atomic
def reject(actor: Actor, change: ChangeRequest, *, reason: str) -> ChangeRequest:
    """Close a change request that shall not be merged, with the reason.

    Raises:
        Invalid: no reason.
        Conflict: it is closed (``wrong_state``).
    """
    require(actor, change.project, Permission.REVIEW)
    if not reason.strip():
        text = _("Say why, for its author.")
        raise Invalid(text, errors={"reason": [text]})
    return _close(actor, change, State.REJECTED, reason)


@transaction.atomic
def reopen(actor: Actor, change: ChangeRequest) -> ChangeRequest:
    """Open a rejected or withdrawn change request again; it needs new approvals. Outdated where the label moved.

    Raises:
        Conflict: it is neither (``wrong_state``), the same version is proposed again elsewhere, or it is archived.
    """
    require(actor, change.project, Permission.WRITE)
    locked_prompt(change.prompt)
    change = locked_change(change, State.REJECTED, State.WITHDRAWN)
    change.state, change.closed_at, change.closed_by, change.closed_by_name = State.OPEN, None, None, ""
    change.closing_note = ""
    try:
        with transaction.atomic():
            change.save(update_fields=["state", "closed_at", "closed_by", "closed_by_name", "closing_note"])
    except IntegrityError as error:
        raise _told(error, change) from None
    change.refresh_from_db(fields=["round"])
    run_checks(change)
    record(actor, "reopened", change)
    return settle(change)


def close(actor: Actor, change: ChangeRequest, state: ChangeRequest.State, note: str) -> ChangeRequest:
    """End a locked change request."""
    person = person_of(actor)
    change.state, change.closed_at, change.updated_at = state, timezone.now(), timezone.now()
    change.closed_by, change.closed_by_name, change.closing_note = person, actor.name, note
    change.save(update_fields=["state", "closed_at", "updated_at", "closed_by", "closed_by_name", "closing_note"])
    return change


def clean_title(title: str) -> str:
    """Return the title in one line. Raises Invalid."""
    title = " ".join(clean_note(title, "title", MAX_TEXT).split())
    if not title or len(title) > MAX_TITLE:
        text = _("Enter a title of at most %d characters.") % MAX_TITLE
        raise Invalid(text, errors={"title": [text]})
    return title


def _close(actor: Actor, change: ChangeRequest, state: ChangeRequest.State, reason: str) -> ChangeRequest:
    change = locked_change(change, *ChangeRequest.UNDECIDED)
    change = close(actor, change, state, clean_note(reason, "reason", MAX_TEXT))
    record(actor, state.value, change)
    return change


def _refuse_live(standing: PromptVersion | None, version: PromptVersion, label: str) -> None:
    if standing == version:
        raise Conflict(
            _("“%(label)s” stands at version %(number)d already.") % {"label": label, "number": version.number},
            code="already_live",
        )


def _ask(change: ChangeRequest, reviewers: Iterable[User]) -> None:
    """Name whose review is asked for. Raises Invalid for who cannot give one."""
    wanted = {user.pk: user for user in reviewers}
    able = {user.pk for user in possible_reviewers(change.project)} - authors_of(change)
    unable = [user.name for pk, user in wanted.items() if pk not in able]
    if unable:
        text = _("These people cannot review it (they wrote some of it, or lack the role): %s.") % ", ".join(unable)
        raise Invalid(text, errors={"reviewers": [text]})
    change.reviewers.set(wanted.values())


def _save(change: ChangeRequest) -> None:
    try:
        with transaction.atomic():
            change.save(force_insert=True)
    except IntegrityError as error:
        raise _told(error, change) from None


def _told(error: IntegrityError, change: ChangeRequest) -> Exception:
    """What stands in the way of saving: another request for the same version, or something unexpected."""
    if broken_rule(error) != "change_proposed_once":
        return error
    other = ChangeRequest.objects.get(
        prompt=change.prompt_id, label=change.label, candidate=change.candidate_id, state__in=ChangeRequest.UNDECIDED
    )
    return Conflict(
        _("Version %(version)d is proposed for “%(label)s” already, in change request #%(number)d.")
        % {"version": change.candidate.number, "label": change.label, "number": other.number},
        code="already_proposed",
        number=other.number,
    )


def _next_number(project: Project) -> int:
    """The next number of the project; whoever else proposes in it waits until this transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('reviews/number', %s))", [project.pk])
    last = ChangeRequest.objects.filter(project=project).aggregate(last=Max("number"))["last"]
    return (last or 0) + 1
