"""An installation of its own for a test that breaks PostgreSQL or Valkey: other tests never notice."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from promptops.core.installation import Installation
from promptops.management.services.postgres import DATABASE, PostgresService
from promptops.management.services.valkey import ValkeyService
from tests import services


class PrivateInstallation:
    """A PostgreSQL and a Valkey as `up` starts them, with the keys of the test session (so it can decrypt alike)."""

    def __init__(self) -> None:
        self.installation = Installation.at(services.make_session_directory())
        shutil.copy2(Path(os.environ["DATA_DIR"]) / "secrets.json", self.installation.data_dir / "secrets.json")
        self.postgres = PostgresService(self.installation)
        self.valkey = ValkeyService(self.installation)

    @property
    def environment(self) -> dict[str, str]:
        """For processes that shall belong to it."""
        return {
            "DATA_DIR": str(self.installation.data_dir),
            "DATABASE_NAME": DATABASE,
            "VALKEY_URL": f"unix://{self.installation.valkey_socket}?db=0",
        }

    def start(self) -> None:
        """Start both and migrate."""
        from django.core.management import call_command

        self.valkey.start()
        self.postgres.start()
        with self.used_here():
            call_command("migrate", database="owner", verbosity=0)

    def stop(self) -> None:
        for service in (self.postgres, self.valkey):
            with contextlib.suppress(Exception):
                service.stop(immediately=True)

    def lose_valkey(self) -> None:
        """Kill it, and lose everything that it kept."""
        self.valkey.stop(immediately=True)
        shutil.rmtree(self.valkey.directory)

    @contextlib.contextmanager
    def used_here(self) -> Iterator[None]:
        """While inside, this process's Django speaks with this PostgreSQL."""
        from django.db import connections

        before: dict[str, dict[str, Any]] = {}
        connections.close_all()
        for alias in connections:
            before[alias] = dict(connections[alias].settings_dict)
            connections[alias].settings_dict |= {"HOST": str(self.installation.postgres_sockets), "NAME": DATABASE}
        try:
            yield
        finally:
            connections.close_all()
            for alias, settings in before.items():
                connections[alias].settings_dict |= {"HOST": settings["HOST"], "NAME": settings["NAME"]}
