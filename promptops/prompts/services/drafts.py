"""Drafts: what somebody is editing, saved as they type.

A write names the revision that it edits and is one conditional UPDATE. Where another tab or person wrote in between, it
changes nothing and raises ``StaleDraft``, which carries both texts: the editor shows them, and nobody's words are lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Case, F, Func, Value, When
from django.utils import timezone
from django.utils.translation import gettext as _

from promptops.accounts.actors import Actor
from promptops.accounts.models import Project, User
from promptops.accounts.policies import Permission, require
from promptops.core.errors import Conflict, Forbidden, Invalid, TooLarge
from promptops.prompts.content import EMPTY, FIELDS
from promptops.prompts.models import Draft, Prompt, PromptVersion, VersionWriter
from promptops.prompts.services.prompts import create_prompt
from promptops.prompts.services.versions import create_version

MAX_DRAFT_BYTES = 2_000_000
HEADING_FIELDS = ("slug", "folder", "description", "tags", "message")


class StaleDraft(Conflict):
    """Somebody saved this draft since; ``extra`` has ``stored`` and ``yours``, each {revision, content, heading}."""

    default_code = "stale_draft"


def open_draft(actor: Actor, prompt: Prompt, *, branch: str = "main") -> Draft:
    """Return the person's draft of a prompt; when there is none, an unsaved one (revision 0) of the newest version."""
    require(actor, prompt.project, Permission.WRITE)
    owner = _person(actor)
    draft = Draft.objects.select_related("base_version").filter(prompt=prompt, owner=owner, branch=branch).first()
    if draft is not None:
        return draft
    head = prompt.versions.select_related("spec").get(number=prompt.last_number)
    return Draft(
        project=prompt.project,
        prompt=prompt,
        owner=owner,
        base_version=head,
        branch=branch,
        revision=0,
        content={**EMPTY, **head.content},
    )


def start_draft(actor: Actor, project: Project, *, content: Mapping[str, Any] | None = None) -> Draft:
    """Return an unsaved draft (revision 0) of a prompt that does not exist yet."""
    require(actor, project, Permission.WRITE)
    return Draft(project=project, owner=_person(actor), revision=0, content={**EMPTY, **(content or {})})


@transaction.atomic
def save_draft(
    actor: Actor,
    draft: Draft,
    *,
    revision: int,
    content: Mapping[str, Any],
    heading: Mapping[str, Any] | None = None,
) -> Draft:
    """Store what was typed; it may be incomplete. Returns the draft with its new revision.

    Args:
        draft: from ``open_draft``, ``start_draft`` or the table.
        revision: the revision that the writer edits (0: the draft is new).
        heading: what a new prompt will be called; None leaves what the draft has.

    Raises:
        StaleDraft: the stored revision is another one.
    """
    require(actor, draft.project, Permission.WRITE)
    _refuse_foreign(actor, draft)
    content = _clean(content, FIELDS)
    heading = _clean(draft.heading if heading is None else heading, HEADING_FIELDS)
    if draft.pk is None:
        if revision != 0:
            # It was saved as a version, or discarded, in another tab.
            raise _stale(None, revision, content, heading)
        draft.writers = [_person(actor).pk]
        return _insert(draft, content, heading)
    changed = Draft.objects.filter(pk=draft.pk, revision=revision).update(
        revision=F("revision") + 1,
        content=content,
        heading=heading,
        writers=_with_writer(_person(actor)),
        updated_at=timezone.now(),
    )
    stored = Draft.objects.select_related("base_version", "prompt", "project").filter(pk=draft.pk).first()
    if not changed or stored is None:
        raise _stale(stored, revision, content, heading)
    return stored


@transaction.atomic
def commit_draft(
    actor: Actor, draft: Draft, *, revision: int, message: str = "", heading: Mapping[str, Any] | None = None
) -> tuple[PromptVersion, bool]:
    """Save the draft as a version (of a new prompt, where it belongs to none) and end the draft.

    Returns the version, and False where nothing had changed.

    Raises:
        StaleDraft: another tab or person wrote the draft since.
        Conflict: a newer version than the draft's base was saved (``stale_version``): see ``rebase_draft``.
        Invalid: the content is not complete yet.
    """
    require(actor, draft.project, Permission.WRITE)
    _refuse_foreign(actor, draft)
    locked = Draft.objects.select_for_update(of=("self",)).filter(pk=draft.pk).first()
    if locked is None or locked.revision != revision:
        raise _stale(locked, revision, draft.content, draft.heading)
    locked.project = draft.project
    if locked.prompt is None:
        fields = {**locked.heading, **(heading or {})}
        tags = fields.get("tags")
        version = create_prompt(
            actor,
            locked.project,
            locked.content,
            slug=str(fields.get("slug") or ""),
            folder=str(fields.get("folder") or ""),
            description=str(fields.get("description") or ""),
            tags=[str(tag) for tag in tags] if isinstance(tags, list) else [],
            message=message,
        )
        created = True
    else:
        base = locked.base_version
        version, created = create_version(
            actor, locked.prompt, locked.content, message=message, expected_head=base.number if base else None
        )
    if created:
        writers = User.objects.filter(pk__in=locked.writers)
        VersionWriter.objects.bulk_create(VersionWriter(version=version, user=writer) for writer in writers)
    locked.delete()
    return version, created


@transaction.atomic
def rebase_draft(actor: Actor, draft: Draft, *, onto: PromptVersion, revision: int | None = None) -> Draft:
    """Say that the writer has seen version ``onto``: the draft, text unchanged, follows it from now on.

    Args:
        revision: the revision that the writer has; None skips the check.

    Raises:
        StaleDraft: another tab or person wrote the draft since.
    """
    require(actor, draft.project, Permission.WRITE)
    _refuse_foreign(actor, draft)
    if draft.prompt_id != onto.prompt_id:
        raise Invalid(_("That version is of another prompt."))
    rows = Draft.objects.filter(pk=draft.pk)
    seen = rows if revision is None else rows.filter(revision=revision)
    changed = seen.update(base_version=onto, revision=F("revision") + 1, updated_at=timezone.now())
    stored = rows.select_related("base_version", "prompt", "project").first()
    if not changed or stored is None:
        raise _stale(stored, revision or draft.revision, draft.content, draft.heading)
    return stored


@transaction.atomic
def discard_draft(actor: Actor, draft: Draft) -> dict[str, Any]:
    """Delete a draft. Returns what it held, for an undo: saving it again brings it back."""
    require(actor, draft.project, Permission.WRITE)
    _refuse_foreign(actor, draft)
    # What is brought back is what was there at last, not what this request had read.
    stored = Draft.objects.select_for_update(of=("self",)).filter(pk=draft.pk).first() if draft.pk else None
    if stored is None:
        return {"content": draft.content, "heading": draft.heading}
    stored.delete()
    return {"content": stored.content, "heading": stored.heading}


def _with_writer(person: User) -> Case:
    """The draft's writers and this person: whoever wrote any of it does not approve what becomes of it."""
    people = Draft._meta.get_field("writers")
    added = Func(F("writers"), Value(person.pk), function="array_append", output_field=people)
    return Case(When(writers__contains=[person.pk], then=F("writers")), default=added)


def _insert(draft: Draft, content: dict[str, Any], heading: dict[str, Any]) -> Draft:
    draft.revision, draft.content, draft.heading, draft.updated_at = 1, content, heading, timezone.now()
    try:
        with transaction.atomic():
            draft.save(force_insert=True)
    except IntegrityError:
        # Two tabs began at once; the other one was first.
        stored = Draft.objects.filter(prompt=draft.prompt, owner=draft.owner, branch=draft.branch).first()
        draft.pk = None
        raise _stale(stored, 0, content, heading) from None
    return draft


def _stale(stored: Draft | None, revision: int, content: Mapping[str, Any], heading: Mapping[str, Any]) -> StaleDraft:
    yours = {"revision": revision, "content": dict(content), "heading": dict(heading)}
    if stored is None:
        text = _("This draft was saved as a version or discarded meanwhile. Your text is below; nothing was lost.")
        return StaleDraft(text, stored=None, yours=yours)
    return StaleDraft(
        _("This draft was changed elsewhere while you wrote. Both texts are below; nothing was lost."),
        stored={"revision": stored.revision, "content": stored.content, "heading": stored.heading},
        yours=yours,
    )


def _clean(given: Mapping[str, Any], allowed: tuple[str, ...]) -> dict[str, Any]:
    """Keep known fields; refuse what the database could not hold (a NUL) or should not (megabytes)."""
    if not isinstance(given, Mapping):
        raise Invalid(_("A draft is a JSON object."))
    kept = {name: given[name] for name in allowed if name in given}
    try:
        text = json.dumps(kept, ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except (ValueError, RecursionError):  # NaN, half a surrogate pair
        raise Invalid(_("The text has a character or a number that cannot be stored.")) from None
    if size > MAX_DRAFT_BYTES:
        raise TooLarge(_("A draft can hold two megabytes of text. Your browser still has it."))
    if "\\u0000" in text:
        raise Invalid(_("The text has a NUL character, which cannot be stored. Please remove it."))
    return kept


def _person(actor: Actor) -> User:
    if actor.user is None:
        raise Forbidden(_("A draft belongs to a person; this token was made without one."))
    return actor.user


def _refuse_foreign(actor: Actor, draft: Draft) -> None:
    """A draft is its owner's and the collaborators'."""
    person = _person(actor)
    if draft.owner_id == person.pk:
        return
    if draft.revision == 0 or not draft.collaborators.filter(pk=person.pk).exists():
        raise Forbidden(_("This draft belongs to somebody else, who has not shared it with you."))
