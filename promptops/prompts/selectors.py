"""Reads of prompts beyond one queryset: search, the served version, labels in time."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from promptops import templating
from promptops.accounts.models import Project
from promptops.core.errors import AppError, Invalid, NotFound
from promptops.prompts.composition import Composition, compose, composed_version
from promptops.prompts.content import content_json
from promptops.prompts.models import Label, LabelMove, Prompt, PromptActivity, PromptSlug, PromptVersion
from promptops.prompts.querysets import moves_of, prompts_of

DEFAULT_LABEL = "production"
LATEST = "latest"


class Moved(AppError):
    """The slug is a former one: ``slug`` is where the prompt is now. HTML and REST answer with a redirect."""

    http_status = 308
    default_code = "moved"

    def __init__(self, slug: str) -> None:
        super().__init__(_("This prompt is called “%s” now.") % slug, slug=slug)
        self.slug = slug


def get_prompt(project: Project, slug: str) -> Prompt:
    """Return a prompt (archived or not). Raises Moved for a former slug, NotFound otherwise."""
    prompt = prompts_of(project, archived=None).select_related("project").filter(slug=slug).first()
    if prompt is not None:
        return prompt
    former = PromptSlug.objects.filter(project=project, slug=slug).select_related("prompt").first()
    if former is not None:
        raise Moved(former.prompt.slug)
    raise NotFound(_("This project has no prompt “%s”.") % slug[:100])


def find_prompt(project: Project, slug: str) -> Prompt:
    """Return a prompt by its present or a former slug: for names inside a body, which no redirect can correct."""
    try:
        return get_prompt(project, slug)
    except Moved as moved:
        return get_prompt(project, moved.slug)


def get_version(prompt: Prompt, *, label: str | None = None, number: int | None = None) -> PromptVersion:
    """Return the version under a label, or by its number; without either, the one under ``production``.

    Raises:
        Invalid: both were given.
        NotFound: there is none. Never falls back to the latest: what nobody released is not served.
    """
    versions = PromptVersion.objects.select_related("spec", "prompt__project")
    if label is not None and number is not None:
        raise Invalid(_("Give a label or a version, not both."), errors={"version": [_("Give a label or a version.")]})
    if number is not None:
        version = versions.filter(prompt=prompt, number=number).first() if 0 < number < 2**31 else None
        if version is None:
            raise NotFound(_("“%(slug)s” has no version %(number)d.") % {"slug": prompt.slug, "number": number})
        return version
    label = label or DEFAULT_LABEL
    if label == LATEST:
        return versions.get(prompt=prompt, number=prompt.last_number)
    version = versions.filter(labels__prompt=prompt, labels__name=label).first()
    if version is None:
        raise NotFound(
            _("No version of “%(slug)s” has the label “%(label)s”. Put the label on one, or ask for a version.")
            % {"slug": prompt.slug, "label": label[:60]},
            code="label_not_found",
        )
    return version


def served(
    project: Project, slug: str, *, label: str | None = None, number: int | None = None, resolved: bool = True
) -> dict[str, Any]:
    """Return what ``resolve`` answers: the served version as JSON.

    Args:
        resolved: with the includes put in; otherwise the text as it was written.

    Raises:
        Moved: the slug is a former one.
        NotFound: no such prompt, version or label, or the prompt is archived.
        Conflict: an include cannot be put in (code ``include_broken``).
    """
    version = served_version(get_prompt(project, slug), label=label, number=number)
    composition = composed_version(version)
    return served_json(
        version, composition, label=(label or DEFAULT_LABEL) if number is None else None, resolved=resolved
    )


def resolved_closure(version: PromptVersion) -> str:
    """Return the hash of what a version means now: of its content and of all that it includes, where labels stand.

    It is ``version.closure_sha256`` as long as no label that it includes by has moved since it was saved. Raises
    Conflict where an include cannot be put in.
    """
    return composed_version(version).closure_sha256


def served_version(prompt: Prompt, *, label: str | None = None, number: int | None = None) -> PromptVersion:
    """Return the version as ``get_version`` does; what is archived is not served.

    Raises:
        Invalid: both label and number were given.
        NotFound: there is no such version, or the prompt is archived.
    """
    if prompt.archived_at is not None:
        raise NotFound(_("“%s” is archived.") % prompt.slug, code="archived")
    return get_version(prompt, label=label, number=number)


def served_json(
    version: PromptVersion, composition: Composition, *, label: str | None, resolved: bool
) -> dict[str, Any]:
    """Return what ``schemas.Served`` describes."""
    content = composition.content if resolved else version.content
    return {
        "prompt": version.prompt.slug,
        "version": version.number,
        "label": label,
        **content_json(content),
        "sha256": version.content_sha256,
        "closure_sha256": composition.closure_sha256,
        "includes": composition.as_json(),
    }


def search_prompts(
    project: Project,
    *,
    text: str = "",
    folder: str | None = None,
    tag: str = "",
    archived: bool = False,
    kind: str = "",
) -> QuerySet[Prompt]:
    """Return the prompts that fit. ``text`` matches whole words (full text) or any part of the text, in any language.

    ``folder`` finds the folder and what lies below it.
    """
    prompts = prompts_of(project, archived=archived)
    if kind:
        prompts = prompts.filter(kind=kind)
    if folder:
        prompts = prompts.filter(Q(folder=folder) | Q(folder__startswith=f"{folder}/"))
    if tag:
        prompts = prompts.filter(tags__contains=[tag])
    text = text.replace("\x00", "").strip()
    if not text:
        return prompts
    # The trigram index finds parts of words, and scripts without spaces.
    found = Q(search_text__icontains=text)
    if len(text.split()) > 1:
        # Several words need not stand beside each other; "in quotes" they must. A single word is a part of the text.
        words = SearchQuery(text, config="simple", search_type="websearch")
        prompts = prompts.annotate(document=SearchVector("search_text", config="simple"))
        found |= Q(document=words)
    return prompts.filter(found)


@dataclass(frozen=True)
class Activity:
    """Ended runs of a prompt in the last days; ``cost_usd`` is their sum where it is known."""

    runs: int = 0
    failed: int = 0
    cost_usd: Any = 0


def activity_since(*, days: int = 7) -> dt.date:
    """Return the first of the last days, today among them."""
    return timezone.now().date() - dt.timedelta(days=days - 1)


def activity_of(prompt_ids: list[int], *, days: int = 7) -> dict[int, Activity]:
    """Return the activity by prompt id."""
    rows = (
        PromptActivity.objects.filter(prompt_id__in=prompt_ids, day__gte=activity_since(days=days))
        .values("prompt_id")
        .annotate(total=Sum("runs"), failures=Sum("failed"), cost=Sum("cost_usd"))
    )
    return {row["prompt_id"]: Activity(row["total"], row["failures"], row["cost"]) for row in rows}


def live_labels(prompt_ids: list[int]) -> dict[int, list[Label]]:
    """Return the standing labels by prompt id, ``production`` first."""
    found: dict[int, list[Label]] = {}
    labels = Label.objects.filter(prompt_id__in=prompt_ids, version__isnull=False).select_related("version")
    for label in sorted(labels, key=lambda one: (one.name != DEFAULT_LABEL, one.name)):
        found.setdefault(label.prompt_id, []).append(label)
    return found


def folders_of(project: Project) -> list[str]:
    """Return every folder that has prompts, and every folder above one, sorted."""
    folders: set[str] = set()
    for folder in prompts_of(project).exclude(folder="").values_list("folder", flat=True).distinct():
        parts = folder.split("/")
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return sorted(folders)


def tags_of(project: Project) -> list[str]:
    """Return every tag in use, sorted."""
    return sorted({tag for tags in prompts_of(project).values_list("tags", flat=True) for tag in tags})


def former_slugs(prompt: Prompt) -> list[str]:
    """Return the slugs that redirect to a prompt, the latest first."""
    return list(prompt.old_slugs.order_by("-created_at", "-id").values_list("slug", flat=True))


def get_label(prompt: Prompt, name: str) -> Label:
    """Return a label that the prompt has or had. Raises NotFound."""
    label = Label.objects.select_related("version").filter(prompt=prompt, name=name).first()
    if label is None:
        raise NotFound(_("This prompt has no label “%s”.") % name[:60])
    return label


def label_at(prompt: Prompt, name: str, moment: dt.datetime) -> LabelMove | None:
    """Return the move by which the label stood where it stood at that moment; None when it did not exist yet."""
    return moves_of(prompt, name).filter(at__lte=moment).first()


def labels_at(version: PromptVersion, moment: dt.datetime) -> list[str]:
    """Return the labels under which a version stood at that moment (for lineage)."""
    names = Label.objects.filter(prompt_id=version.prompt_id).values_list("pk", "name")
    standing = []
    for pk, name in names:
        move = LabelMove.objects.filter(label_id=pk, at__lte=moment).order_by("-at", "-id").first()
        if move is not None and move.to_version_id == version.pk:
            standing.append(name)
    return sorted(standing)


def diff_versions(old: PromptVersion, new: PromptVersion) -> templating.SpecDiff:
    """Return what changed between two versions: words per message, parameters, variables, schema.

    What breaks callers is judged by the whole, includes put in.
    """
    return diff_contents(old.prompt.project, old.content, new.content)


def diff_contents(project: Project, old: Mapping[str, Any], new: Mapping[str, Any]) -> templating.SpecDiff:
    """Return what changed between two contents, as ``diff_versions`` does."""
    diff = templating.diff(old, new)
    if not (templating.may_include(old) or templating.may_include(new)):
        return diff
    try:
        whole = templating.diff(compose(project, old).content, compose(project, new).content)
    except templating.TemplateError:
        return diff
    return dataclasses.replace(diff, breaking=whole.breaking)
