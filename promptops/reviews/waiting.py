"""Which change requests wait for a person: to be looked at, or to be gone on with."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q, QuerySet

from promptops.accounts.models import Project, User
from promptops.reviews.models import ChangeRequest, Verdict
from promptops.reviews.querysets import changes_of

State = ChangeRequest.State


def waiting_for(project: Project, person: User) -> QuerySet[ChangeRequest]:
    """Return those whose review was asked of the person and not given in this round, and the person's own that are
    approved, outdated, or were sent back.
    """
    given = Verdict.objects.filter(change=OuterRef("pk"), reviewer=person, round=OuterRef("round"))
    asked = ChangeRequest.objects.filter(reviewers=person).values("pk")
    to_review = Q(pk__in=asked, state__in=[State.OPEN, State.CHANGES_REQUESTED]) & ~Exists(given)
    own = Q(author=person, state__in=[State.CHANGES_REQUESTED, State.APPROVED, State.OUTDATED])
    return changes_of(project).filter(to_review | own)
