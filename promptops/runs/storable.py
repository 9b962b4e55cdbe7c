"""What PostgreSQL takes: text and JSON without NUL characters or lone surrogates, and no NaN.

What people send is refused; what a template or a model makes is repaired, because the run is paid for by then.
"""

from __future__ import annotations

import json
import re
from typing import Any

from django.utils.translation import gettext as _

from promptops.core.errors import Invalid

_REFUSED = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\ufffd"


def check_storable(value: Any, path: str) -> None:
    """Raise Invalid (under ``path``) for what cannot be stored as JSON."""
    try:
        json.dumps(value, allow_nan=False)
        clean = _is_clean(value)
    except (ValueError, TypeError, RecursionError):
        clean = False
    if not clean:
        message = _("This must be JSON without NUL characters, unpaired surrogates, NaN or infinities.")
        raise Invalid(message, errors={path: [message]})


def storable_text(text: str, limit: int | None = None) -> str:
    """Return the text with what cannot be stored replaced by U+FFFD, cut to ``limit`` characters."""
    if limit is not None:
        text = text[:limit]
    return text if text.isascii() and "\x00" not in text else _REFUSED.sub(_REPLACEMENT, text)


def storable(value: Any) -> Any:
    """Return JSON with every text in it made storable."""
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, dict):
        return {storable_text(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value


def _is_clean(value: Any) -> bool:
    if isinstance(value, str):
        return _REFUSED.search(value) is None
    if isinstance(value, dict):
        return all(_is_clean(key) and _is_clean(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(_is_clean(item) for item in value)
    return True
