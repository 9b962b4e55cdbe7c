"""Which generation parameters a provider takes, and whether values fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from promptops.engines import SUPPORTED_PARAMETERS

MAX_BYTES = 16_384
NUMBERS: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}
INTEGERS: dict[str, tuple[int, int]] = {
    "top_k": (1, 1_000_000),
    "max_tokens": (1, 10_000_000),
    "seed": (0, 2**53 - 1),
}


def parameter_errors(provider: str, parameters: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what is wrong with parameters, by path such as ``parameters.top_k``."""
    known = SUPPORTED_PARAMETERS.get(provider, frozenset())
    if not isinstance(parameters, Mapping):
        return {"parameters": [_("Enter a JSON object, such as {“temperature”: 0.2}.")]}
    if not _storable(parameters):
        return {"parameters": [_("Enter at most 16 kB of JSON, without NUL characters.")]}
    errors: dict[str, list[str]] = {}
    for name, value in parameters.items():
        problem: str | None
        if name not in known:
            problem = _("This provider has no such parameter. It has: %s.") % ", ".join(sorted(known))
        else:
            problem = None if value is None else _problem(name, value)
        if problem:
            errors[f"parameters.{name}"] = [problem]
    return errors


def known_parameters(provider: str) -> list[str]:
    """Return the names of the parameters that a provider takes."""
    return sorted(SUPPORTED_PARAMETERS.get(provider, frozenset()))


def _problem(name: str, value: Any) -> str | None:
    if name in NUMBERS:
        least, most = NUMBERS[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not least <= value <= most:
            return _("Enter a number from %(least)g to %(most)g.") % {"least": least, "most": most}
    elif name in INTEGERS:
        low, high = INTEGERS[name]
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            return _("Enter a whole number from %(least)d to %(most)d.") % {"least": low, "most": high}
    elif name == "stop":
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or len(texts) > 16 or not all(isinstance(text, str) and text for text in texts):
            return _("Enter a text, or a list of at most 16 texts.")
    elif name == "extra" and not isinstance(value, dict):
        return _("Enter a JSON object.")
    return None


def _storable(parameters: Mapping[str, Any]) -> bool:
    try:
        text = json.dumps(dict(parameters), allow_nan=False)
        text.encode()
    except (ValueError, TypeError, RecursionError):
        return False
    return len(text) <= MAX_BYTES and "\\u0000" not in text and "\\ud8" not in text.lower()
