"""How to use a prompt from code: the lines that a page offers to copy."""

from __future__ import annotations

import json
import pprint
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from promptops.prompts.models import PromptVersion
from promptops.prompts.selectors import DEFAULT_LABEL


def code_snippets(base_url: str, slug: str, version: PromptVersion, *, label: str | None) -> list[dict[str, str]]:
    """Return how to fetch and run a version from code: by its ``label`` where it has one, else by its number."""
    api = f"{base_url.rstrip('/')}/api/v1"
    values = example_values(version.content.get("variables", {}))
    choice: dict[str, Any] = {"label": label} if label else {"version": version.number}
    name, value = next(iter(choice.items()))
    query = "" if label == DEFAULT_LABEL else f"?{name}={value}"
    body = {"prompt": slug, **choice, "variables": values}
    fetch = f'curl -H "Authorization: Bearer $PROMPTOPS_TOKEN" \\\n  "{api}/prompts/{slug}/resolve{query}"'
    run = (
        f'curl -X POST "{api}/runs" \\\n  -H "Authorization: Bearer $PROMPTOPS_TOKEN" \\\n'
        f"  -H 'Content-Type: application/json' \\\n  -d {_shell_quoted(_json({**body, 'wait': 30}))}"
    )
    python = f'''import os
import httpx

answer = httpx.post(
    "{api}/runs",
    headers={{"Authorization": f"Bearer {{os.environ['PROMPTOPS_TOKEN']}}"}},
    json={_python({**body, "wait": 30})},
    timeout=40,
)
answer.raise_for_status()
print(answer.json()["output"])
'''
    sdk = f'''import os
import httpx
from openai import OpenAI

rendered = httpx.post(
    "{api}/render",
    headers={{"Authorization": f"Bearer {{os.environ['PROMPTOPS_TOKEN']}}"}},
    json={_python(body)},
)
rendered.raise_for_status()
answer = OpenAI().chat.completions.create(
    model="gpt-4o-mini", messages=rendered.json()["messages"]
)
print(answer.choices[0].message.content)
'''
    return [
        {"id": "run", "label": _("Run (curl)"), "text": run},
        {"id": "fetch", "label": _("Fetch (curl)"), "text": fetch},
        {"id": "python", "label": "Python", "text": python.strip()},
        {"id": "openai", "label": "OpenAI SDK", "text": sdk.strip()},
    ]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _shell_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _python(value: Any) -> str:
    """A literal of Python, four spaces in."""
    return pprint.pformat(value, width=88, sort_dicts=False).replace("\n", "\n         ")


def example_values(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value for each declared variable, for snippets: its example, its default, or one of its type."""
    by_type: dict[str, Any] = {
        "number": 1.5,
        "integer": 1,
        "boolean": True,
        "array": [],
        "object": {},
        "messages": [{"role": "user", "content": "…"}],
    }
    values = {}
    for name, declared in variables.items():
        given = declared.get("example")
        if given is None:
            given = declared.get("default")
        values[name] = by_type.get(declared.get("type", "string"), "…") if given is None else given
    return values
