"""Encrypt the stored secrets (keys of providers, secrets of webhooks) again under the newest ENCRYPTION_KEY."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from promptops.catalog.services import rotate_keys as rotate_credentials
from promptops.notifications.services import rotate_keys as rotate_webhooks


class Command(BaseCommand):
    help = (
        "Encrypt every stored secret again under the first of ENCRYPTION_KEY. "
        "Put the new key first (new,old), restart, run this, then drop the old one."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        credentials, webhooks = rotate_credentials(), rotate_webhooks()
        self.stdout.write(
            f"{credentials.rotated} credentials and {webhooks.rotated} webhooks are encrypted under the newest key now."
        )
        unreadable = [*credentials.unreadable, *(f"webhook {number}" for number in webhooks.unreadable)]
        if unreadable:
            raise CommandError(
                f"No configured key decrypts: {', '.join(unreadable)}. "
                "Restore the key that they were encrypted with, or enter these secrets again."
            )
