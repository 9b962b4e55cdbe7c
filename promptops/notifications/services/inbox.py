"""What people do with their notifications: read them, and choose what is e-mailed. Not audited: it is their own."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import IntegrityError, transaction
from django.utils import timezone

from promptops.accounts.models import Project, User
from promptops.notifications.kinds import kinds
from promptops.notifications.models import EmailChoice, Notification
from promptops.notifications.querysets import notifications_of


def mark_read(one: Notification) -> None:
    """Reading twice keeps the first time."""
    Notification.objects.filter(pk=one.pk, read_at=None).update(read_at=timezone.now())
    one.refresh_from_db(fields=["read_at"])


def mark_unread(one: Notification) -> None:
    """Put it back. Where the same thing has happened again since and is unread, that one stands for both."""
    try:
        with transaction.atomic():
            Notification.objects.filter(pk=one.pk).update(read_at=None)
    except IntegrityError:
        return
    one.refresh_from_db(fields=["read_at"])


def mark_all_read(user: User, project: Project | None = None) -> int:
    """Mark everything read, or everything of one project. Returns how many were unread."""
    unread = notifications_of(user).filter(read_at=None)
    if project is not None:
        unread = unread.filter(project=project)
    ids = unread.values("pk")
    return Notification.objects.filter(pk__in=ids).update(read_at=timezone.now())


@transaction.atomic
def choose_emails(user: User, wanted: Iterable[str]) -> None:
    """Have exactly these kinds e-mailed. Keys that nobody registered are ignored."""
    chosen = set(wanted)
    EmailChoice.objects.bulk_create(
        [EmailChoice(user=user, kind=key, wanted=key in chosen) for key in kinds()],
        update_conflicts=True,
        unique_fields=["user", "kind"],
        update_fields=["wanted"],
    )


def emailed_kinds(user: User) -> set[str]:
    """Return the kinds that the person gets by e-mail."""
    chosen = dict(EmailChoice.objects.filter(user=user).values_list("kind", "wanted"))
    return {key for key, kind in kinds().items() if chosen.get(key, kind.email)}
