"""How a JSON value becomes text in the two syntaxes that have no formatting of their own (mustache and fstring)."""

from __future__ import annotations

import json
from typing import Any


def to_text(value: Any) -> str:
    """The text of a JSON value: strings as they are, null as nothing, everything else as JSON (`true`, `1.5`,
    `["a"]`).
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False)
