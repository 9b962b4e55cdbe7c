"""REST: rendering without a run."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from ninja import Router

from promptops import templating
from promptops.accounts.bearer import ApiRequest
from promptops.accounts.policies import Permission, require
from promptops.core.errors import Invalid
from promptops.core.rest import answers
from promptops.prompts import schemas, selectors
from promptops.prompts.composition import composed_version, path_of

router = Router(tags=["Prompts"])


@router.post("/render", response=answers(404, 409, ok=schemas.Rendered), summary="Render a prompt")
def render(request: ApiRequest, given: schemas.RenderGiven) -> dict[str, Any]:
    """The messages as a run would send them; nothing is run or stored. Errors name variable, or message and line."""
    require(request.actor, request.project, Permission.READ)
    prompt = selectors.find_prompt(request.project, given.prompt)
    version = selectors.served_version(prompt, label=given.label, number=given.version)
    composition = composed_version(version)
    try:
        messages = templating.render(composition.template, given.variables)
    except templating.VariableError as error:
        errors = {f"variables.{name}": [text] for name, text in error.errors.items()}
        raise Invalid(_("Some variables are missing or do not fit."), errors=errors, code="variables") from None
    except templating.TemplateError as found:
        placed = composition.composed.placed(found)
        raise Invalid(
            str(placed),
            errors={path_of(placed): [placed.message]},
            code=placed.code,
            line=placed.line,
            column=placed.column,
        ) from None
    return {"prompt": prompt.slug, "version": version.number, "messages": messages}
