"""The Celery side: no logic here."""

from __future__ import annotations

from celery import shared_task

from promptops.notifications import execution


@shared_task
def deliver() -> None:
    """When something is due, and every some seconds: send e-mails and call webhooks."""
    execution.deliver()


@shared_task
def forget() -> None:
    """Daily: delete old notifications and deliveries."""
    execution.forget()
