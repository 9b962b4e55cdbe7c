"""Projects: making and renaming them."""

from __future__ import annotations

import re

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.module_loading import import_string
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from promptops.accounts.actors import Actor
from promptops.accounts.models import Membership, Project, ProjectSlug, Role
from promptops.accounts.policies import Permission, require
from promptops.audit import services as audit
from promptops.core.errors import Forbidden, Invalid

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?")
RESERVED_SLUGS = {"new"}
SLUG_TAKEN = gettext_lazy("Another project has, or had, this slug. Choose a different one.")


@transaction.atomic
def create_project(actor: Actor, *, name: str, slug: str = "", description: str = "") -> Project:
    """Create a project; the person who does becomes its owner. A token cannot.

    The apps above add what every project begins with (``settings.NEW_PROJECT_STEPS``), such as the embedded model.

    Raises:
        Invalid: no name, or the slug is malformed or taken.
    """
    if actor.kind == "token":
        raise Forbidden(_("A token belongs to one project and cannot make others."))
    slug = slug.strip() or slugify(name)[:60].strip("-") or "project"
    errors: dict[str, list[str]] = {}
    if not name.strip():
        errors["name"] = [_("Enter a name.")]
    errors.update(_slug_errors(slug))
    if errors:
        raise Invalid(_("The project was not created."), errors=errors)
    project = Project(name=name.strip()[:120], slug=slug, description=description.strip())
    _save(project)
    if actor.user is not None:
        Membership.objects.create(project=project, user=actor.user, role=Role.OWNER)
    audit.record(actor, "project.created", project_id=project.pk, target_kind="project", target_id=project.pk)
    for step in settings.NEW_PROJECT_STEPS:
        import_string(step)(project)
    return project


@transaction.atomic
def update_project(
    actor: Actor, project: Project, *, name: str, slug: str, description: str, keeps_old_slug: bool = True
) -> Project:
    """Rename a project. Links with the former slug lead to the new one; REST names no project, the token does.

    Args:
        keeps_old_slug: False sets the former slug free: its links lead nowhere until another project takes it.

    Raises:
        Invalid: no name, or the slug is malformed or taken.
    """
    require(actor, project, Permission.ADMIN)
    slug = slug.strip()
    errors: dict[str, list[str]] = {} if name.strip() else {"name": [_("Enter a name.")]}
    if slug != project.slug:
        errors.update(_slug_errors(slug, project))
    if errors:
        raise Invalid(_("The project was not changed."), errors=errors)
    wanted = {"name": name.strip()[:120], "slug": slug, "description": description.strip()}
    changed = [field for field, value in wanted.items() if getattr(project, field) != value]
    if not changed:
        return project
    former = project.slug
    for field in changed:
        setattr(project, field, wanted[field])
    _save(project)
    if slug != former:
        ProjectSlug.objects.filter(project=project, slug=slug).delete()  # it takes its own back
        if keeps_old_slug:
            ProjectSlug.objects.create(project=project, slug=former)
    audit.record(
        actor,
        "project.updated",
        project_id=project.pk,
        target_kind="project",
        target_id=project.pk,
        detail={"fields": changed},
    )
    return project


def _save(project: Project) -> None:
    try:
        with transaction.atomic():
            project.save()
    except IntegrityError:  # somebody took the slug in this very moment
        raise Invalid(_("The project was not saved."), errors={"slug": [str(SLUG_TAKEN)]}) from None


def _slug_errors(slug: str, project: Project | None = None) -> dict[str, list[str]]:
    if not SLUG.fullmatch(slug) or slug in RESERVED_SLUGS:
        return {"slug": [_("Use lower-case letters, digits and hyphens, at most 60, such as “support-bot”.")]}
    if Project.objects.filter(slug=slug).exists() or ProjectSlug.objects.filter(slug=slug).exclude(project=project):
        return {"slug": [str(SLUG_TAKEN)]}
    return {}
