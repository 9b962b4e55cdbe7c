"""The two database roles, the database and its extensions: what a superuser makes once, here and in production.

The owner migrates and erases; the application reads and writes rows, and nothing more. A table's owner could switch its
triggers off, so the application must not be one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from psycopg import sql

EXTENSIONS = ("pg_trgm", "vector", "btree_gin")


@dataclass(frozen=True)
class DatabaseRole:
    name: str
    password: str

    def __repr__(self) -> str:
        return f"DatabaseRole({self.name!r}, …)"


def prepare_database(
    connect: Callable[[str], psycopg.Connection], database: str, owner: DatabaseRole, app: DatabaseRole
) -> None:
    """Make what is missing; again harmless. A role that exists gets the password that is given.

    ``connect`` opens an autocommitting connection as superuser to the database of that name.
    """
    with connect("postgres") as connection:
        for role in (owner, app):
            known = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role.name]).rowcount
            statement = "ALTER ROLE {} LOGIN PASSWORD {}" if known else "CREATE ROLE {} LOGIN PASSWORD {}"
            connection.execute(sql.SQL(statement).format(sql.Identifier(role.name), sql.Literal(role.password)))
        if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [database]).rowcount:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(owner.name))
            )
    with connect(database) as connection:
        for extension in EXTENSIONS:
            connection.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(extension)))
        for right in _RIGHTS:
            connection.execute(sql.SQL(right).format(owner=sql.Identifier(owner.name), app=sql.Identifier(app.name)))


_RIGHTS = (
    "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    "GRANT USAGE, CREATE ON SCHEMA public TO {owner}",
    "GRANT USAGE ON SCHEMA public TO {app}",
    # Of tables that do not exist yet: the migrations make them, as the owner.
    "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public "
    "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {app}",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {app}",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO {app}",
)
