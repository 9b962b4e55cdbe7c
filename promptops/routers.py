"""Which database role does what."""

from typing import Any


class OwnerMigrates:
    """Schema changes run on the alias `owner` alone; the application's role has no right to make them."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == "owner"

    def allow_relation(self, obj1: Any, obj2: Any, **hints: Any) -> bool:
        return True  # both aliases are one database
