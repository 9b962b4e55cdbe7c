"""Review in the project's settings: which labels are protected and by what, and who answers for which folder."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.models import User
from promptops.accounts.policies import Permission, can
from promptops.accounts.querysets import members_of
from promptops.core.errors import Invalid
from promptops.core.forms import put_errors
from promptops.core.htmx import redirect, render
from promptops.prompts.querysets import prompts_of
from promptops.prompts.selectors import folders_of
from promptops.reviews import services
from promptops.reviews.forms import OwnersForm, PolicyForm, check_name
from promptops.reviews.models import LabelPolicy
from promptops.reviews.selectors import code_owners, get_policy, policies_in_force

HOUR = 3600


@require_safe
@project_view(Permission.READ)
def policies(request: ProjectRequest) -> HttpResponse:
    """The rules in force, the widest first, and the owners of folders."""
    people = {one.user_id: one.user for one in members_of(request.project).select_related("user")}
    rules = [(one, [check_name(name) for name in one.checks]) for one in policies_in_force(request.project)]
    owners = [(one, [people[pk] for pk in one.people if pk in people]) for one in code_owners(request.project)]
    context = {
        "rules": rules,
        "owners": owners,
        "may_administer": can(request.actor, request.project, Permission.ADMIN),
    }
    return render(request, "reviews/policies.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@project_view(Permission.ADMIN)
def policy_set(request: ProjectRequest) -> HttpResponse:
    """Set a rule; ``?policy=<id>`` begins with one that is in force."""
    prompts = {one.slug: one for one in prompts_of(request.project).only("pk", "slug", "project")}
    if request.method != "POST":
        number = request.GET.get("policy", "")
        standing = get_policy(request.project, int(number)) if number.isdecimal() and len(number) < 18 else None
        return _policy_form(request, PolicyForm(initial=_initial(standing), prompts=prompts))
    form = PolicyForm(request.POST, prompts=prompts)
    if not form.is_valid():
        return _policy_form(request, form, status=422)
    wanted = form.cleaned_data
    try:
        policy = services.set_label_policy(
            request.actor,
            request.project,
            wanted["label"],
            folder=wanted["folder"],
            prompt=wanted["prompt"],
            protected=wanted["protected"],
            required_approvals=wanted["required_approvals"],
            owners_required=wanted["owners_required"],
            checks=wanted["checks"],
            hold_seconds=wanted["hold_hours"] * HOUR,
        )
    except Invalid as error:
        put_errors(form, error)
        return _policy_form(request, form, status=422)
    text = _("“%s” is protected now.") if policy.protected else _("“%s” is not protected there.")
    messages.success(request, text % policy.label)
    return redirect(request, "reviews:policies", request.project.slug)


@require_POST
@project_view(Permission.ADMIN)
def policy_remove(request: ProjectRequest, policy_id: int) -> HttpResponse:
    """Take a rule back: a wider one counts again, or none."""
    policy = get_policy(request.project, policy_id)
    services.remove_label_policy(request.actor, policy)
    messages.success(request, _("The rule for “%s” is taken back.") % policy.label)
    return redirect(request, "reviews:policies", request.project.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@project_view(Permission.ADMIN)
def owners_set(request: ProjectRequest) -> HttpResponse:
    """Say who answers for a folder; ``?folder=`` begins with who does."""
    people: list[User] = [one.user for one in members_of(request.project).select_related("user").order_by("user__name")]
    if request.method != "POST":
        folder = request.GET.get("folder", "")
        standing = next((one.people for one in code_owners(request.project) if one.folder == folder), [])
        given = {"folder": folder, "people": [str(pk) for pk in standing]}
        return _owners_form(request, OwnersForm(initial=given, people=people))
    form = OwnersForm(request.POST, people=people)
    if not form.is_valid():
        return _owners_form(request, form, status=422)
    try:
        services.set_code_owners(
            request.actor, request.project, form.cleaned_data["folder"], form.cleaned_data["people"]
        )
    except Invalid as error:
        put_errors(form, error)
        return _owners_form(request, form, status=422)
    messages.success(request, _("The owners are saved."))
    return redirect(request, "reviews:policies", request.project.slug)


def _initial(policy: LabelPolicy | None) -> dict[str, object]:
    if policy is None:
        return {"label": "production", "protected": True, "required_approvals": 1, "hold_hours": 0}
    return {
        "label": policy.label,
        "folder": policy.folder,
        "prompt": policy.prompt.slug if policy.prompt else "",
        "protected": policy.protected,
        "required_approvals": policy.required_approvals,
        "owners_required": policy.owners_required,
        "checks": policy.checks,
        "hold_hours": policy.hold_seconds // HOUR,
    }


def _policy_form(request: ProjectRequest, form: PolicyForm, *, status: int = 200) -> HttpResponse:
    context = {"form": form, "folders": folders_of(request.project)}
    return render(request, "reviews/policy_set.html", context, status=status)


def _owners_form(request: ProjectRequest, form: OwnersForm, *, status: int = 200) -> HttpResponse:
    context = {"form": form, "folders": folders_of(request.project)}
    return render(request, "reviews/owners_set.html", context, status=status)
