"""Every write on the catalog. Each checks the policy, mutates and audits in one transaction, and names its actor."""

from promptops.catalog.services.credentials import (
    Rotation,
    archive_credential,
    create_credential,
    rotate_keys,
    test_credential,
    update_credential,
)
from promptops.catalog.services.endpoints import (
    archive_endpoint,
    create_endpoint,
    refresh_price,
    restore_endpoint,
    set_default,
    update_endpoint,
)
from promptops.catalog.services.local import ensure_local_endpoint

__all__ = [
    "Rotation",
    "archive_credential",
    "archive_endpoint",
    "create_credential",
    "create_endpoint",
    "ensure_local_endpoint",
    "refresh_price",
    "restore_endpoint",
    "rotate_keys",
    "set_default",
    "test_credential",
    "update_credential",
    "update_endpoint",
]
