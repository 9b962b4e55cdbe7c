"""What the database says when it refuses a write."""

from __future__ import annotations

from django.db import IntegrityError


def broken_rule(error: IntegrityError) -> str:
    """Return the name of the constraint (or of a trigger's rule, told as one) that refused; "" without a name."""
    diagnosis = getattr(error.__cause__, "diag", None)
    return getattr(diagnosis, "constraint_name", None) or ""
