"""Which versions a prompt's includes mean at this moment, and the whole put together.

``templating.compose`` puts texts into texts; here its names (``greeting@production``) become versions of the same
project. An archived prompt, or a label that stands nowhere, is a mistake at the place of the include. See
docs/composition.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from promptops import templating
from promptops.accounts.models import Project
from promptops.core.errors import Conflict
from promptops.prompts.content import closure_sha256, content_sha256
from promptops.prompts.models import Label, Prompt, PromptSlug, PromptVersion
from promptops.templating import Reference

BROKEN = "include_broken"
"""The code of every refusal that is about an include of something that is saved."""


@dataclass(frozen=True)
class Included:
    """A version that is included, directly or by another one, and the name by which it is."""

    reference: Reference
    version: PromptVersion

    def as_json(self) -> dict[str, Any]:
        """What a run keeps and REST answers: ``{reference, prompt, version, label}``."""
        return {
            "reference": str(self.reference),
            "prompt": self.version.prompt.slug,
            "version": self.version.number,
            "label": self.reference.label,
        }


@dataclass(frozen=True)
class Composition:
    """A content with its includes put in; ``includes`` are all of them, by first use. Without any, it is itself."""

    composed: templating.Composed
    includes: list[Included] = field(default_factory=list)
    # What was put together, and all versions by their names in it: for the hash, which not everybody needs.
    _source: Mapping[str, Any] = field(default_factory=dict)
    _versions: Mapping[str, PromptVersion] = field(default_factory=dict)

    @property
    def closure_sha256(self) -> str:
        """The hash of the (canonical) content together with that of all that it includes, as it stood."""
        return _closure(content_sha256(self._source), self._source, self._versions)

    @property
    def content(self) -> dict[str, Any]:
        return self.composed.spec

    @property
    def template(self) -> templating.Template:
        return self.composed.template

    def as_json(self) -> list[dict[str, Any]]:
        return [included.as_json() for included in self.includes]


def compose(
    project: Project, content: Mapping[str, Any], *, recorded: Sequence[Mapping[str, Any]] | None = None
) -> Composition:
    """Put the included prompts into a content of this project, as their labels stand now.

    Args:
        content: of the shape of a spec; its templates may be half-written.
        recorded: what ``Composition.as_json`` said earlier: the same versions again, wherever their labels stand now.

    Raises:
        templating.TemplateError: an include cannot be put in (code ``include``), at its place in ``content``.
    """
    if not templating.may_include(content):
        return Composition(templating.Composed(dict(content)), _source=content)
    found = _Search(project, recorded).run(content)
    contents = {name: version.content for name, version in found.versions.items()}
    composed = templating.compose(content, contents, found.problems)
    includes = [Included(templating.parse_reference(name), found.versions[name]) for name in composed.references]
    return Composition(composed, includes, content, found.versions)


def composed_version(version: PromptVersion, *, recorded: Sequence[Mapping[str, Any]] | None = None) -> Composition:
    """Put together what a saved version means now.

    Raises:
        Conflict: one of its includes cannot be put in (code ``include_broken``; ``errors`` by place).
    """
    try:
        return compose(version.prompt.project, version.content, recorded=recorded)
    except templating.TemplateError as error:
        raise broken(version.prompt.slug, error) from None


def broken(slug: str, error: templating.TemplateError) -> Conflict:
    """The refusal to serve or run what cannot be put together."""
    return Conflict(
        _("“%(slug)s” cannot be put together: %(why)s.") % {"slug": slug, "why": str(error).rstrip(".")},
        code=BROKEN,
        errors={path_of(error): [str(error)]},
    )


def path_of(error: templating.TemplateError) -> str:
    """The path of a template's mistake in a content, such as ``messages.1.content``."""
    return f"messages.{error.message_index or 0}.content"


def direct_includes(content: Mapping[str, Any]) -> list[Reference]:
    """The prompts that a content itself includes, each once, by first use."""
    if not templating.may_include(content):
        return []
    includes, _errors = templating.includes_of(templating.template_of(content))
    return list(dict.fromkeys(include.reference for include in includes))


def lock_composition(project: Project) -> None:
    """Let writes that can close a cycle or break an include happen one by one in a project, until the transaction ends.

    Taken after the locks of rows, so that nobody who holds it waits for a row.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('prompts.composition'), %s)", [project.pk])


class _Search:
    """Finds the versions behind the includes of a content, level by level: three queries each."""

    def __init__(self, project: Project, recorded: Sequence[Mapping[str, Any]] | None) -> None:
        self.project = project
        self.recorded = None if recorded is None else {str(one["reference"]): one for one in recorded}
        self.versions: dict[str, PromptVersion] = {}
        self.problems: dict[str, str] = {}

    def run(self, content: Mapping[str, Any]) -> _Search:
        wanted = direct_includes(content)
        while wanted:
            self.find(wanted)
            new = [self.versions[str(one)] for one in wanted if str(one) in self.versions]
            below = dict.fromkeys(one for version in new for one in direct_includes(version.content))
            wanted = [one for one in below if str(one) not in self.versions and str(one) not in self.problems]
        return self

    def find(self, wanted: Sequence[Reference]) -> None:
        asked = {one: self._as_recorded(one) for one in wanted}
        prompts = self._prompts({one.slug for one in asked.values()})
        known = {prompt.pk: prompt for prompt in prompts.values()}
        by_number, by_label = self._standing(known, asked.values())
        for one, meant in asked.items():
            prompt = prompts.get(meant.slug)
            name = str(one)
            if prompt is None:
                self.problems[name] = _("this project has no prompt “%s”") % meant.slug
            elif prompt.archived_at is not None and self.recorded is None:
                self.problems[name] = _("“%s” is archived") % meant.slug
            else:
                key = (prompt.pk, meant.version or meant.label)
                version = (by_number if meant.version else by_label).get(key)
                if version is not None:
                    version.prompt = prompt
                    self.versions[name] = version
                elif meant.version:
                    self.problems[name] = _("“%(slug)s” has no version %(number)d") % {
                        "slug": prompt.slug,
                        "number": meant.version,
                    }
                else:
                    self.problems[name] = _("no version of “%(slug)s” has the label “%(label)s”") % {
                        "slug": prompt.slug,
                        "label": meant.label,
                    }

    def _as_recorded(self, reference: Reference) -> Reference:
        record = (self.recorded or {}).get(str(reference))
        return reference if record is None else Reference(str(record["prompt"]), version=int(record["version"]))

    def _prompts(self, slugs: set[str]) -> dict[str, Prompt]:
        """The prompts by the slug that was asked for; a former slug finds today's prompt."""
        rows = Prompt.objects.filter(project=self.project).select_related("project")
        prompts = {prompt.slug: prompt for prompt in rows.filter(slug__in=slugs)}
        missing = slugs - prompts.keys()
        if missing:
            former = PromptSlug.objects.filter(project=self.project, slug__in=missing)
            prompts |= {one.slug: one.prompt for one in former.select_related("prompt__project")}
        return prompts

    def _standing(
        self, prompts: Mapping[int, Prompt], asked: Iterable[Reference]
    ) -> tuple[dict[tuple[int, Any], PromptVersion], dict[tuple[int, Any], PromptVersion]]:
        numbers = {one.version for one in asked if one.version}
        names = {one.label for one in asked if one.label}
        by_number = {
            (version.prompt_id, version.number): version
            for version in PromptVersion.objects.filter(prompt__in=prompts, number__in=numbers).select_related("spec")
        }
        labels = Label.objects.filter(prompt__in=prompts, name__in=names, version__isnull=False)
        by_label = {
            (label.prompt_id, label.name): label.version
            for label in labels.select_related("version__spec")
            if label.version is not None
        }
        return by_number, by_label


def _closure(digest: str, content: Mapping[str, Any], versions: Mapping[str, PromptVersion]) -> str:
    """The hash of a content and of all below it. (There is no cycle: it was composed.)"""
    known: dict[str, str] = {}

    def of(one_digest: str, one_content: Mapping[str, Any]) -> str:
        hashes = []
        for reference in direct_includes(one_content):
            name = str(reference)
            if name not in known:
                known[name] = of(versions[name].content_sha256, versions[name].content)
            hashes.append(known[name])
        return closure_sha256(one_digest, includes=hashes)

    return of(digest, content)
