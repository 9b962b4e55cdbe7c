"""What the database holds, as a test for secrets sees it."""

from __future__ import annotations

from django.db import connection


def everything_stored() -> str:
    """Every row of every table as text.

    Binary columns come as their hexadecimal digits, so the encrypted keys are there as the bytes that they are too.
    """
    rows: list[str] = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            rows += [row[0] for row in cursor.fetchall()]
        cursor.execute("SELECT encode(encrypted_key, 'escape') FROM catalog_credential")
        rows += [row[0] for row in cursor.fetchall()]
    return "\n".join(rows)
