"""How to repeat and read a run from code: the lines that its page offers to copy."""

from __future__ import annotations

import json
import shlex
from typing import Any

from django.utils.translation import gettext as _

from promptops.runs.models import Run, RunPayload

WAIT_SECONDS = 30


def run_snippets(base_url: str, run: Run, payload: RunPayload) -> list[dict[str, str]]:
    """Return the REST calls of a run. A draft's run cannot be repeated by REST: no name leads to its text."""
    runs = f"{base_url.rstrip('/')}/api/v1/runs"
    header = '-H "Authorization: Bearer $PROMPTOPS_TOKEN"'
    read = {"id": "read", "label": _("Read it (curl)"), "text": f'curl {header} \\\n  "{runs}/{run.pk}"'}
    if run.version is None or run.prompt is None:
        return [read]
    body: dict[str, Any] = {
        "prompt": run.prompt.slug,
        "version": run.version.number,
        "endpoint": run.endpoint.slug,
        "variables": payload.variables,
        "parameters": payload.parameters,
        "wait": WAIT_SECONDS,
    }
    text = json.dumps(body, ensure_ascii=False, indent=2)
    again = (
        f"curl -X POST \"{runs}\" \\\n  {header} \\\n  -H 'Content-Type: application/json' \\\n  -d {shlex.quote(text)}"
    )
    python = f'''import json
import os
import httpx

answer = httpx.post(
    "{runs}",
    headers={{"Authorization": f"Bearer {{os.environ['PROMPTOPS_TOKEN']}}"}},
    json=json.loads({text!r}),
    timeout={WAIT_SECONDS + 10},
)
answer.raise_for_status()
print(answer.json()["output"])'''
    return [
        {"id": "again", "label": _("Run it again (curl)"), "text": again},
        {"id": "python", "label": "Python", "text": python},
        read,
    ]
