"""`services start|stop|status`: the private PostgreSQL and Valkey without the application, for development."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from promptops.core.installation import InstallationError
from promptops.management.services.postgres import PostgresService
from promptops.management.services.valkey import ValkeyService


class Command(BaseCommand):
    help = "Start or stop the private PostgreSQL and Valkey of an embedded installation."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["start", "stop", "status"])
        parser.add_argument("--data-dir", help="The data directory (default: DATA_DIR, or var).")

    def handle(self, *args: Any, **options: Any) -> None:
        services = (PostgresService(settings.INSTALLATION), ValkeyService(settings.INSTALLATION))
        for service in services:
            try:
                if options["action"] == "start":
                    service.start()
                elif options["action"] == "stop":
                    service.stop()
            except InstallationError as error:
                raise CommandError(str(error)) from error
            pid = service.pid()
            name = type(service).__name__.removesuffix("Service")
            self.stdout.write(f"{name}: {f'runs (process {pid})' if pid else 'stopped'}")
        self.stdout.write(f"Data: {settings.DATA_DIR}")
        cluster = services[0].cluster()
        if cluster and not cluster.is_relative_to(settings.DATA_DIR):
            self.stdout.write(f"PostgreSQL's data (its system user cannot enter the data directory): {cluster}")
