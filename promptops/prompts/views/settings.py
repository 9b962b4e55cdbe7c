"""What a prompt is called and where it is filed; archiving it, and bringing it back."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from promptops.accounts.access import ProjectRequest
from promptops.accounts.policies import Permission
from promptops.core.errors import Conflict, Invalid
from promptops.core.forms import put_errors
from promptops.core.htmx import redirect, render
from promptops.prompts.dependents import dependents_of
from promptops.prompts.forms import HeadingForm
from promptops.prompts.models import Prompt
from promptops.prompts.querysets import labels_of
from promptops.prompts.selectors import folders_of, former_slugs, tags_of
from promptops.prompts.services import archive_prompt, restore_prompt, update_prompt
from promptops.prompts.views.access import prompt_view
from promptops.prompts.views.versions import page_context


@require_http_methods(["GET", "HEAD", "POST"])
@prompt_view(Permission.READ)
def prompt_settings(request: ProjectRequest, prompt: Prompt) -> HttpResponse:
    """Rename and file a prompt. Whoever may only read sees how it is filed; the service refuses the rest."""
    if request.method != "POST":
        heading = {
            "slug": prompt.slug,
            "folder": prompt.folder,
            "description": prompt.description,
            "tags": prompt.tags,
        }
        return _settings_page(request, prompt, HeadingForm(initial=heading))
    form = HeadingForm(request.POST)
    if form.is_valid():
        try:
            prompt = update_prompt(request.actor, prompt, **form.cleaned_data)
        except (Invalid, Conflict) as error:
            put_errors(form, error)
        else:
            messages.success(request, _("Saved."))
            return redirect(request, "prompts:settings", request.project.slug, prompt.slug)
    return _settings_page(request, prompt, form, status=422)


@require_POST
@prompt_view(Permission.WRITE)
def archive(request: ProjectRequest, prompt: Prompt) -> HttpResponse:
    """Take the prompt out of lists and out of `resolve`; the page that follows offers to bring it back."""
    try:
        archive_prompt(request.actor, prompt)
    except Conflict as error:
        messages.error(request, error.detail)
        return redirect(request, "prompts:settings", request.project.slug, prompt.slug)
    messages.success(request, _("“%s” is archived. Services that ask for it get an error.") % prompt.slug)
    return redirect(request, "prompts:settings", request.project.slug, prompt.slug)


@require_POST
@prompt_view(Permission.WRITE)
def restore(request: ProjectRequest, prompt: Prompt) -> HttpResponse:
    """Bring an archived prompt back, with all that it had."""
    restore_prompt(request.actor, prompt)
    messages.success(request, _("“%s” is back, and served again.") % prompt.slug)
    return redirect(request, "prompts:settings", request.project.slug, prompt.slug)


def _settings_page(request: ProjectRequest, prompt: Prompt, form: HeadingForm, *, status: int = 200) -> HttpResponse:
    context = page_context(request, prompt, "settings") | {
        "form": form,
        "folders": folders_of(request.project),
        "tags": tags_of(request.project),
        "former_slugs": former_slugs(prompt),
        "live_labels": [label.name for label in labels_of(prompt)],
        "used_by": dependents_of(prompt),
        "api_path": f"/api/v1/prompts/{prompt.slug}",
    }
    return render(request, "prompts/settings.html#form", context, status=status)
