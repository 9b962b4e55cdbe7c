"""What versions include: written when they are saved, and kept whole when what they include moves or goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from promptops import templating
from promptops.core.errors import Conflict, Invalid
from promptops.prompts.composition import BROKEN, Composition, compose, direct_includes, lock_composition, path_of
from promptops.prompts.dependents import live_dependents
from promptops.prompts.models import Label, Prompt, PromptDependency, PromptVersion


def composed_to_save(prompt: Prompt, content: Mapping[str, Any]) -> Composition:
    """Return a new version's content with its includes put in. The prompt's row is locked.

    Raises:
        Invalid: an include is missing, archived, does not fit, or leads back to this prompt (code ``include``, with
            ``errors`` by path), or the whole does not parse (code ``template_syntax``).
    """
    if not direct_includes(content):
        return compose(prompt.project, content)
    lock_composition(prompt.project)
    try:
        composition = compose(prompt.project, content)
        _refuse_itself(prompt, content, composition)
    except templating.TemplateError as error:
        raise Invalid(
            _("The prompt was not saved: an include cannot be put in."),
            errors={path_of(error): [str(error)]},
            code="include",
        ) from None
    problems = templating.check_syntax(composition.template)
    if problems:
        first = composition.composed.placed(problems[0])
        raise Invalid(
            _("With its includes the template does not parse."),
            errors={path_of(first): [str(first)]},
            code="template_syntax",
        )
    return composition


def store_dependencies(version: PromptVersion, composition: Composition) -> None:
    """Write down what a new version itself includes."""
    included = {one.reference: one.version for one in composition.includes}
    PromptDependency.objects.bulk_create(
        PromptDependency(
            version=version,
            order=order,
            included_id=included[reference].prompt_id,
            included_version=included[reference] if reference.version else None,
            label=reference.label or "",
        )
        for order, reference in enumerate(direct_includes(version.content))
    )


def refuse_to_break(prompt: Prompt, *, label: Label | None = None) -> None:
    """Check, after a label moved (or, without one, a prompt was archived), all that is live and includes it.

    Raises:
        Conflict: something live could not be put together any more, or the version under the label cannot (code
            ``include_broken``); it names the first such prompt, and why.
    """
    has_dependents = PromptDependency.objects.filter(included=prompt)
    if label is not None:
        has_dependents = has_dependents.filter(label=label.name)
    own = label.version if label is not None else None
    if not has_dependents.exists() and (own is None or not own.dependencies.exists()):
        return
    lock_composition(prompt.project)
    if own is not None and label is not None:
        own.prompt = prompt
        _refuse_broken(own, f"{prompt.slug}@{label.name}")
    for version, names in live_dependents(prompt, label=label.name if label is not None else None):
        _refuse_broken(version, f"{version.prompt.slug}@{names[0]}")


def _refuse_broken(version: PromptVersion, name: str) -> None:
    try:
        composition = compose(version.prompt.project, version.content)
        if composition.includes:
            for problem in templating.check_syntax(composition.template):
                raise composition.composed.placed(problem)
    except templating.TemplateError as error:
        raise Conflict(
            _("This would break “%(name)s” (version %(number)d), which is live: %(why)s. Nothing was changed.")
            % {"name": name, "number": version.number, "why": str(error).rstrip(".")},
            code=BROKEN,
            prompt=version.prompt.slug,
            version=version.number,
        ) from None


def _refuse_itself(prompt: Prompt, content: Mapping[str, Any], composition: Composition) -> None:
    """A prompt that includes itself, at whatever version, is refused: its label could not follow the new version."""
    by_reference = {one.reference: one.version for one in composition.includes}
    way = _way_to(prompt.pk, content, by_reference)
    if way is None:
        return
    includes, _errors = templating.includes_of(templating.template_of(content))
    first = next(include for include in includes if include.reference == way[0])
    names = " → ".join([prompt.slug, *map(str, way)])
    raise templating.TemplateError(
        "include",
        _("a prompt cannot include itself: %s") % names,
        message_index=first.message_index,
        line=first.line,
        column=first.column,
    )


def _way_to(
    prompt_id: int, content: Mapping[str, Any], versions: Mapping[templating.Reference, PromptVersion]
) -> list[templating.Reference] | None:
    """The includes that lead from a content to a version of a prompt; None where none do."""
    seen: set[templating.Reference] = set()
    stack = [[one] for one in reversed(direct_includes(content))]
    while stack:
        here = stack.pop()
        version = versions[here[-1]]
        if version.prompt_id == prompt_id:
            return here
        if here[-1] not in seen:
            seen.add(here[-1])
            stack += [[*here, one] for one in reversed(direct_includes(version.content))]
    return None
