"""Tables that are partitioned by the time in a run's UUIDv7, as a migration operation and as the beat's daily duty."""

from __future__ import annotations

from typing import Any

from django.db import connection, migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import ProjectState

MONTHS_AHEAD = 3


def ensure_partitions(months_ahead: int = MONTHS_AHEAD) -> int:
    """Make the partitions of this month and the next ones; return how many were missing.

    The application's role has no DDL: a database function does it with the owner's rights (migration 0002).
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT runs_ensure_partitions(%s)", [months_ahead])
        (made,) = cursor.fetchall()[0]
    return int(made)


class CreatePartitionedModel(migrations.CreateModel):
    """``CreateModel`` of a table ``PARTITION BY RANGE (column)``: columns and state come from one description."""

    def __init__(self, *args: Any, partition_by: str, **kwargs: Any) -> None:
        self.partition_by = partition_by
        super().__init__(*args, **kwargs)

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        plain = schema_editor.sql_create_table
        schema_editor.sql_create_table = f"{plain} PARTITION BY RANGE ({self.partition_by})"
        try:
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        finally:
            schema_editor.sql_create_table = plain
