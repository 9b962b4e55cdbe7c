"""`create_roles`: makes the two database roles, the database and its extensions, as a superuser. For production."""

import os
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from promptops.management.services.roles import DatabaseRole, prepare_database
from promptops.settings import database_from_url

SUPERUSER_URL = "SUPERUSER_DATABASE_URL"


class Command(BaseCommand):
    help = (
        f"Make the roles and the database that DATABASE_URL and OWNER_DATABASE_URL name, as the superuser of "
        f"{SUPERUSER_URL}. Again harmless; a changed password is set."
    )
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.EMBEDDED_DATABASE:
            raise CommandError("Set DATABASE_URL: the embedded database makes its roles by itself.")
        if "owner" not in settings.DATABASES or not os.environ.get(SUPERUSER_URL):
            raise CommandError(f"Set OWNER_DATABASE_URL and {SUPERUSER_URL} for this command, and only for it.")
        app, owner = settings.DATABASES["default"], settings.DATABASES["owner"]
        if app["USER"] == owner["USER"]:
            raise CommandError(
                "DATABASE_URL and OWNER_DATABASE_URL name the same role. Use two: a table's owner can switch its "
                "triggers off, so the application must not be one."
            )
        try:
            prepare_database(
                _connect_as_superuser,
                app["NAME"],
                owner=DatabaseRole(owner["USER"], owner["PASSWORD"]),
                app=DatabaseRole(app["USER"], app["PASSWORD"]),
            )
        except psycopg.Error as error:
            raise CommandError(f"The database refused: {str(error).strip()}") from error
        self.stdout.write(f"{app['NAME']}: owned by {owner['USER']}, used by {app['USER']}.")


def _connect_as_superuser(database: str) -> psycopg.Connection:
    given = database_from_url(SUPERUSER_URL)
    return psycopg.connect(
        host=given["HOST"],
        port=given["PORT"] or None,
        user=given["USER"],
        password=given["PASSWORD"],
        dbname=database,
        autocommit=True,
        connect_timeout=10,
        **given["OPTIONS"],
    )
