"""`migrate` on the role that may change tables, so that nobody has to remember `--database owner`."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands.migrate import Command as MigrateCommand


class Command(MigrateCommand):
    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database="owner")
        parser.add_argument("--data-dir", help="The data directory (default: DATA_DIR, or var).")

    def execute(self, *args: Any, **options: Any) -> str | None:
        if options["database"] not in settings.DATABASES:  # before the checks, which ask the database
            raise CommandError("Migrations need the owner's role: set OWNER_DATABASE_URL.")
        return super().execute(*args, **options)
