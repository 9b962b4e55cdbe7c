"""The embedded model as an endpoint: every new project can run prompts at once, without a key and without cost."""

from __future__ import annotations

from django.db import transaction

from promptops.accounts.actors import SYSTEM
from promptops.accounts.models import Project
from promptops.catalog.cards import EMBEDDED
from promptops.catalog.models import Endpoint, Provider
from promptops.catalog.services.endpoints import create_endpoint


@transaction.atomic
def ensure_local_endpoint(project: Project) -> Endpoint:
    """Return the project's endpoint of the embedded model; create it, as the default when there is none.

    One that an admin archived stays archived.
    """
    present = Endpoint.objects.filter(project=project, slug=EMBEDDED.slug).first()
    if present is not None:
        return present
    return create_endpoint(
        SYSTEM,
        project,
        slug=EMBEDDED.slug,
        name=EMBEDDED.name,
        provider=Provider.LOCAL,
        model_name=EMBEDDED.model_name,
        description=EMBEDDED.card,
        context_window=EMBEDDED.context_window,
        parameters=dict(EMBEDDED.parameters),
    )
