"""Encrypt the stored provider keys again under the newest ENCRYPTION_KEY."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from promptops.catalog.services import rotate_keys


class Command(BaseCommand):
    help = (
        "Encrypt every stored provider key again under the first of ENCRYPTION_KEY. "
        "Put the new key first (new,old), restart, run this, then drop the old one."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        done = rotate_keys()
        self.stdout.write(f"{done.rotated} credentials are encrypted under the newest key now.")
        if done.unreadable:
            raise CommandError(
                f"No configured key decrypts: {', '.join(done.unreadable)}. "
                "Restore the key that they were encrypted with, or enter these secrets again."
            )
