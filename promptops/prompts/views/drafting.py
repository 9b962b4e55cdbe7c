"""What the editor writes: the draft as it is typed, versions, and what ends or revives a draft."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec

from django.contrib import messages
from django.core.exceptions import RequestDataTooBig
from django.db import transaction
from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import trigger_client_event

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.policies import Permission
from promptops.core.errors import Conflict, Invalid, TooLarge
from promptops.core.htmx import redirect, render, toast
from promptops.prompts.discarded import remember_discarded, take_discarded
from promptops.prompts.forms import EditorForm
from promptops.prompts.models import Draft, PromptVersion
from promptops.prompts.preview import Problem, preview_of
from promptops.prompts.querysets import drafts_of, versions_of
from promptops.prompts.selectors import find_prompt, get_version
from promptops.prompts.services import (
    StaleDraft,
    commit_draft,
    discard_draft,
    open_draft,
    rebase_draft,
    save_draft,
    start_draft,
)
from promptops.prompts.views.versions import labels_by_version

NEW = "new"
P = ParamSpec("P")


def draft_view(
    view: Callable[Concatenate[ProjectRequest, Draft, P], HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """Hand the view the person's draft: of the prompt that the URL names, or of a new one (``new``, ``draft=<id>``).

    A former slug is taken for today's, without a redirect: what is typed must arrive.
    """

    @project_view(Permission.WRITE)
    @functools.wraps(view)
    def with_draft(request: ProjectRequest, slug: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if slug == NEW:
            draft = new_draft(request, request.GET.get("draft") or request.POST.get("draft") or "")
            draft = draft or start_draft(request.actor, request.project)
        else:
            draft = open_draft(request.actor, find_prompt(request.project, slug))
        return view(request, draft, *args, **kwargs)

    return with_draft


def new_draft(request: ProjectRequest, number: str) -> Draft | None:
    """Return the person's draft of a prompt that does not exist yet; None when there is no such draft (any more)."""
    if not number.isdecimal() or len(number) > 18:
        return None
    return drafts_of(request.project, owner_id=request.user.pk).filter(pk=int(number), prompt=None).first()


@require_http_methods(["PUT"])
@draft_view
def draft(request: ProjectRequest, draft: Draft) -> HttpResponse:
    """Keep what was typed: ``{revision, content, heading}`` as JSON. A stale revision is answered with both texts."""
    given = _json_body(request)
    _begin_from(draft, given.get("base"))
    stored = save_draft(
        request.actor,
        draft,
        revision=given["revision"],
        content=given.get("content") or {},
        heading=given.get("heading"),
    )
    answer: dict[str, Any] = {"revision": stored.revision, "updated_at": stored.updated_at.isoformat()}
    if stored.prompt_id is None:
        # From now on the page belongs to this draft, also after a reload.
        page = f"{reverse('prompts:create', args=[request.project.slug])}?draft={stored.pk}"
        url = f"{reverse('prompts:draft', args=[request.project.slug, NEW])}?draft={stored.pk}"
        answer |= {"id": stored.pk, "url": url, "page": page, "key": draft_key(stored)}
    return JsonResponse(answer)


@require_POST
@draft_view
def save(request: ProjectRequest, draft: Draft) -> HttpResponse:
    """Save a version (of a new prompt, where there is none). With ``onto`` on top of a version saved meanwhile."""
    form = EditorForm(request.POST)
    is_new = draft.prompt_id is None
    if form.problems():
        return _refuse(request, _("Not saved: please correct what is marked."), form.problems())
    try:
        version, created = _commit(request, draft, form)
    except StaleDraft:
        # The page asks for both texts itself: too long for a header, and it knows how to show them.
        text = _("Not saved: this draft was changed elsewhere. Choose which text goes on.")
        return trigger_client_event(_nothing(toast_text=text), "draft:stale", {})
    except Conflict as error:
        if error.code == "stale_version":
            return _offer_rebase(request, draft, error)
        return _refuse(request, error.detail, error.extra.get("errors", {}), status=error.http_status)
    except Invalid as error:
        return _refuse(request, error.detail, error.errors, content=form.content())
    return _saved_new(request, version) if is_new else _saved(request, version, created)


@require_POST
@draft_view
def discard(request: ProjectRequest, draft: Draft) -> HttpResponse:
    """Throw the draft away; the page that follows offers to bring it back."""
    if draft.pk is not None:
        # As it was at the end: another tab may have written since this request read it.
        held = discard_draft(request.actor, draft)
        draft.content, draft.heading = held["content"], held["heading"]
        remember_discarded(request, draft)
    return _ended(_to_editor(request, draft))


@require_POST
@draft_view
def bring_back(request: ProjectRequest, draft: Draft) -> HttpResponse:
    """Undo ``discard``. What was typed since takes the place of what was discarded, so that nothing is lost."""
    held = take_discarded(request, draft.prompt)
    if held is None:
        messages.info(request, _("There is nothing to bring back any more."))
        return _to_editor(request, draft)
    if draft.pk is not None:
        remember_discarded(request, draft)
    _begin_from(draft, held["base"])
    stored = save_draft(request.actor, draft, revision=draft.revision, content=held["content"], heading=held["heading"])
    messages.success(request, _("Your draft is back."))
    return _ended(_to_editor(request, stored))


@require_POST
@draft_view
def rebase(request: ProjectRequest, draft: Draft) -> HttpResponse:
    """Let the draft follow a newer version, its text unchanged."""
    form = EditorForm(request.POST)
    form.is_valid()
    number = form.cleaned_data.get("onto")
    if draft.prompt is not None and draft.revision and number:
        onto = get_version(draft.prompt, number=number)
        rebase_draft(request.actor, draft, onto=onto, revision=form.cleaned_data["revision"])
        messages.success(request, _("Your draft follows version %d now; its text is as it was.") % number)
    return _to_editor(request, draft)


def draft_key(draft: Draft) -> str:
    """Under which name a browser keeps what it could not send."""
    return _key(draft.project_id, draft.owner_id, draft.prompt_id or f"new:{draft.pk or ''}")


def _key(project_id: int, person_id: int, about: int | str) -> str:
    return f"{project_id}:{person_id}:{about}"


@transaction.atomic
def _commit(request: ProjectRequest, draft: Draft, form: EditorForm) -> tuple[PromptVersion, bool]:
    """All or nothing: where the version is refused, the draft is as it was, and the page goes on saving it itself."""
    message = form.cleaned_data["message"]
    heading = {**form.heading(), "message": message} if draft.prompt_id is None else {"message": message}
    revision = form.cleaned_data["revision"] or 0
    _begin_from(draft, form.cleaned_data["base"])
    stored = save_draft(request.actor, draft, revision=revision, content=form.content(), heading=heading)
    onto = form.cleaned_data["onto"]
    if onto and stored.prompt is not None:
        stored = rebase_draft(request.actor, stored, onto=get_version(stored.prompt, number=onto))
    return commit_draft(request.actor, stored, revision=stored.revision, message=message)


def _begin_from(draft: Draft, number: object) -> None:
    """A draft that is not stored yet began from the version that its page shows, not from the newest of this moment."""
    if draft.pk is None and draft.prompt is not None and isinstance(number, int) and 0 < number < 2**31:
        draft.base_version = versions_of(draft.prompt).filter(number=number).first() or draft.base_version


def _saved(request: ProjectRequest, version: PromptVersion, created: bool) -> HttpResponse:
    """The page stays as it is; its draft begins anew from the version."""
    labels = labels_by_version(version.prompt).get(version.pk, [])
    context = {"prompt": version.prompt, "base": version, "base_labels": labels}
    response = render(request, "prompts/editor_state.html", context)
    if created:
        text = _("Version %d is saved.") % version.number
        status = text
        told: dict[str, Any] = {"message": text, "level": "success", "links": _next_steps(request, version)}
    else:
        text = _("Nothing has changed since version %d, so there is no new one.") % version.number
        status = _("No changes since version %d") % version.number
        told = {"message": text, "level": "info"}
    trigger_client_event(response, "toast", told)
    trigger_client_event(response, "dialog:close", {"id": "save-dialog"})
    state = {"version": version.number, "status": status}
    return trigger_client_event(response, "draft:committed", state)


def _saved_new(request: ProjectRequest, version: PromptVersion) -> HttpResponse:
    links = format_html_join(" ", '<a href="{url}">{label}</a>', _next_steps(request, version))
    text = _("“%s” is saved as version 1.") % version.prompt.slug
    messages.success(request, format_html("{} {}", text, links))
    key = _key(request.project.pk, request.user.pk, version.prompt_id)
    return _ended(redirect(request, "prompts:detail", request.project.slug, version.prompt.slug), key=key)


def _next_steps(request: ProjectRequest, version: PromptVersion) -> list[dict[str, str]]:
    where = [request.project.slug, version.prompt.slug]
    steps = []
    if version.number > 1:
        compare = f"{reverse('prompts:diff', args=where)}?from={version.number - 1}&to={version.number}"
        steps.append({"label": _("Compare with version %d") % (version.number - 1), "url": compare})
    move = f"{reverse('prompts:label-move', args=where)}?label=production&version={version.number}"
    steps.append({"label": _("Put production on it"), "url": move})
    with contextlib.suppress(NoReverseMatch):  # the app above may be left out
        propose = f"{reverse('reviews:propose', args=where)}?label=production&version={version.number}"
        steps.append({"label": _("Propose it for production"), "url": propose})
    return steps


def _refuse(
    request: ProjectRequest,
    title: str,
    errors: Mapping[str, list[str]],
    *,
    status: int = 422,
    content: Mapping[str, Any] | None = None,
) -> HttpResponse:
    """What is wrong, where. The mistakes of a ``content`` are taken from its preview, which knows their lines."""
    found = preview_of(request.project, content, {}).problems if content is not None else []
    placed = [problem for problem in found if problem.message_index is not None]
    others = {path: texts for path, texts in errors.items() if not (placed and path.startswith("messages."))}
    problems = placed + [Problem(text, path) for path, texts in others.items() for text in texts]
    response = render(request, "prompts/editor_refused.html", {"title": title, "problems": problems}, status=status)
    return trigger_client_event(response, "dialog:close", {"id": "save-dialog"})


def _offer_rebase(request: ProjectRequest, draft: Draft, error: Conflict) -> HttpResponse:
    """Somebody saved a version meanwhile: what to compare, and to save on top of it."""
    assert draft.prompt is not None  # noqa: S101 (a new prompt has no versions)
    newest = get_version(draft.prompt, number=error.extra["newest"])
    context = {"prompt": draft.prompt, "base": draft.base_version, "newest": newest, "on_save": True}
    response = render(request, "prompts/editor_stale.html", context, status=error.http_status)
    return trigger_client_event(response, "dialog:close", {"id": "save-dialog"})


def _to_editor(request: ProjectRequest, draft: Draft) -> HttpResponse:
    if draft.prompt is not None:
        return redirect(request, "prompts:detail", request.project.slug, draft.prompt.slug)
    page = reverse("prompts:create", args=[request.project.slug])
    return redirect(request, f"{page}?draft={draft.pk}" if draft.pk else page)


def _ended(response: HttpResponse, *, key: str = "") -> HttpResponse:
    """Tell the page that goes away to keep nothing of its draft; the values to try move to ``key``."""
    return trigger_client_event(response, "draft:ended", {"key": key})


def _nothing(*, toast_text: str) -> HttpResponse:
    return toast(HttpResponse(status=409, headers={"HX-Reswap": "none"}), toast_text, "warning")


def _json_body(request: ProjectRequest) -> dict[str, Any]:
    try:
        given = json.loads(request.body)
    except RequestDataTooBig:
        raise TooLarge(_("A draft can hold two megabytes of text. Your browser still has it.")) from None
    except (ValueError, RecursionError):
        raise Invalid(_("The draft could not be read.")) from None
    revision = given.get("revision") if isinstance(given, dict) else None
    if not isinstance(revision, int) or isinstance(revision, bool) or not 0 <= revision < 2**31:
        raise Invalid(_("The draft could not be read."), errors={"revision": [_("A whole number is needed.")]})
    result: dict[str, Any] = given
    return result
