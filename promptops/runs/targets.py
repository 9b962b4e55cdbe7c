"""From a request to what exactly runs: the spec, the endpoint, the checked variables, the rendered messages.

Everything is settled before a run is queued. So whoever asks learns about a missing variable or a broken template at
once, with its place; what is stored is what will be sent; and a worker never renders. Rendering goes through the one
gate of ``templating`` (9 µs a template in batches), in batches for many runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.utils.translation import gettext as _

from promptops import templating
from promptops.accounts.models import Project
from promptops.catalog.models import Endpoint
from promptops.catalog.parameters import parameter_errors
from promptops.core.errors import Invalid, NotFound, TooLarge
from promptops.prompts import selectors as prompts
from promptops.prompts.composition import Composition, broken, compose
from promptops.prompts.content import content_of
from promptops.prompts.models import Prompt, PromptSpec, PromptVersion
from promptops.prompts.services import store_spec
from promptops.runs.storable import check_storable, storable

MAX_METADATA_BYTES = 16_384
MAX_ITEMS = 10_000
MAX_TEXT = 200_000_000
"""Characters that the runs of one request may have together, variables and messages: they are held in memory."""
RENDERED_AT_ONCE = 100
ERRORS_SHOWN = 20


@dataclass(frozen=True)
class Target:
    """What to run: a version, or the content of a draft (then ``version`` is None, and ``prompt`` may be).

    ``recorded``: the versions that an earlier run included, to be included again; else as their labels stand now.
    """

    spec: PromptSpec
    prompt: Prompt | None = None
    version: PromptVersion | None = None
    label: str = ""
    recorded: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class RunRequest:
    """The part of a request that differs from run to run."""

    variables: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """A request that can be queued."""

    variables: dict[str, Any]
    messages: list[dict[str, Any]]
    metadata: dict[str, Any]


def version_target(project: Project, slug: str, *, label: str | None = None, version: int | None = None) -> Target:
    """Return the version under a label, or by its number; without either the one under ``production``.

    The slug may be a former one of the prompt.

    Raises:
        Invalid: a label and a version.
        NotFound: no such prompt, version or label, or the prompt is archived.
    """
    prompt = prompts.find_prompt(project, slug)
    if prompt.archived_at is not None:
        raise NotFound(_("“%s” is archived.") % prompt.slug, code="archived")
    found = prompts.get_version(prompt, label=label, number=version)
    asked = (label or prompts.DEFAULT_LABEL) if version is None else ""
    return Target(spec=found.spec, prompt=prompt, version=found, label=asked)


def draft_target(project: Project, content: Mapping[str, Any], *, prompt: Prompt | None = None) -> Target:
    """Return the target for the unsaved content of a draft; stores its spec (in the transaction that is open).

    Raises:
        Invalid: the content is malformed or does not parse.
    """
    return Target(spec=store_spec(project, content_of(content)), prompt=prompt)


def get_endpoint(project: Project, slug: str | None) -> Endpoint:
    """Return the endpoint to run on: the named one, or the project's default.

    Raises:
        Invalid: none was named, and the project has no default.
        NotFound: the project has no such endpoint.
    """
    living = Endpoint.objects.filter(project=project, archived_at=None).select_related("credential")
    if slug:
        endpoint = living.filter(slug=slug).first()
        if endpoint is None:
            raise NotFound(_("This project has no model endpoint “%s”.") % slug[:100], code="endpoint_not_found")
        return endpoint
    endpoint = living.filter(is_default=True).first()
    if endpoint is None:
        text = _("Name the model endpoint to run on; this project has no default one.")
        raise Invalid(text, errors={"endpoint": [text]})
    return endpoint


def parameters_for(target: Target, endpoint: Endpoint, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a run: the endpoint's defaults, under the prompt's, under the given ones.

    Raises:
        Invalid: a name that this provider does not know (the run would mean less than its record says), or a bad value.
    """
    merged = {**endpoint.parameters, **target.spec.content.get("parameters", {}), **given}
    merged = {name: value for name, value in merged.items() if value is not None}
    errors = parameter_errors(endpoint.provider, merged)
    if errors:
        raise Invalid(_("The parameters do not fit the model endpoint."), errors=errors)
    return merged


def composed(target: Target) -> Composition:
    """Return the target's content with its includes put in.

    Raises:
        Conflict: one of them cannot be put in (code ``include_broken``, ``errors`` by path).
    """
    try:
        return compose(target.spec.project, target.spec.content, recorded=target.recorded)
    except templating.TemplateError as error:
        raise broken(target.prompt.slug if target.prompt else _("This draft"), error) from None


def prepare(
    target: Target, composition: Composition, requests: Sequence[RunRequest], *, path: str = ""
) -> list[Prepared]:
    """Check the variables of every request and render its messages.

    Args:
        composition: of the target, by ``composed``.
        path: what the errors' paths begin with; ``items.{index}.`` names the request that is wrong.

    Raises:
        Invalid: variables that do not fit, or a template that fails with them; nothing is queued then.
        TooLarge: the metadata of a run is, or all of them are together.
    """
    template = composition.template
    contract = template.variables
    uses = _uses_of(target.spec.sha256, json.dumps(composition.content, sort_keys=True))
    errors: dict[str, list[str]] = {}
    resolved: list[dict[str, Any]] = []
    for index, request in enumerate(requests):
        prefix = path.format(index=index)
        check_storable(request.variables, f"{prefix}variables")
        check_metadata(request.metadata, f"{prefix}metadata")
        try:
            resolved.append(templating.resolve_variables(contract, uses, request.variables))
        except templating.VariableError as error:
            errors.update({f"{prefix}variables.{name}": [text] for name, text in error.errors.items()})
            if len(errors) >= ERRORS_SHOWN:
                break
    if errors:
        raise Invalid(_("The variables do not fit the prompt."), errors=errors, code="variables")
    rendered = _rendered(template, resolved)
    for index, outcome in enumerate(rendered):
        if isinstance(outcome, templating.TemplateError):
            placed = composition.composed.placed(outcome)
            at = f"{path.format(index=index)}messages.{placed.message_index or 0}"
            errors[at] = [str(placed)]
    if errors:
        shown = dict(list(errors.items())[:ERRORS_SHOWN])
        raise Invalid(_("The template fails with these variables."), errors=shown, code="template")
    return [
        Prepared(variables, storable(messages), dict(request.metadata))
        for variables, messages, request in zip(resolved, rendered, requests, strict=True)
    ]


def _rendered(
    template: templating.Template, resolved: Sequence[dict[str, Any]]
) -> list[list[dict[str, Any]] | templating.TemplateError]:
    """Render in pieces, and stop where it gets too much: a long template multiplies even the shortest items."""
    rendered: list[list[dict[str, Any]] | templating.TemplateError] = []
    size = 0
    for start in range(0, len(resolved), RENDERED_AT_ONCE):
        values = resolved[start : start + RENDERED_AT_ONCE]
        outcomes = templating.render_many([(template, one) for one in values])
        size += sum(
            len(json.dumps([one, None if isinstance(outcome, templating.TemplateError) else outcome]))
            for one, outcome in zip(values, outcomes, strict=True)
        )
        if size > MAX_TEXT and len(resolved) > 1:
            raise TooLarge(
                _("The messages of these runs are more than %d MB together. Send them as several smaller batches.")
                % (MAX_TEXT // 1_000_000)
            )
        rendered += outcomes
    return rendered


@lru_cache(maxsize=512)
def _uses_of(sha256: str, content: str) -> list[templating.VariableUse]:
    return templating.variables_of(templating.template_of(json.loads(content)))


def check_metadata(metadata: Mapping[str, Any], path: str) -> None:
    """Raise TooLarge or Invalid for metadata that will not be stored."""
    check_storable(metadata, path)
    if len(json.dumps(metadata)) > MAX_METADATA_BYTES:
        raise TooLarge(_("The metadata of a run may have at most %d bytes.") % MAX_METADATA_BYTES, field=path)
