"""How to run prompts on an endpoint from code: the lines that its page offers to copy."""

from __future__ import annotations

from django.utils.translation import gettext as _

from promptops.catalog.models import Endpoint

AUTHORIZATION = '-H "Authorization: Bearer $PROMPTOPS_TOKEN"'


def endpoint_snippets(base_url: str, endpoint: Endpoint) -> list[dict[str, str]]:
    """Return the REST calls of an endpoint. The prompt's name is the reader's to fill in."""
    api = f"{base_url.rstrip('/')}/api/v1"
    run = f"""curl -X POST "{api}/runs" \\
  {AUTHORIZATION} \\
  -H 'Content-Type: application/json' \\
  -d '{{"prompt": "YOUR-PROMPT", "endpoint": "{endpoint.slug}", "variables": {{}}, "wait": 30}}'"""
    python = f"""import os
import httpx

answer = httpx.post(
    "{api}/runs",
    headers={{"Authorization": f"Bearer {{os.environ['PROMPTOPS_TOKEN']}}"}},
    json={{"prompt": "YOUR-PROMPT", "endpoint": "{endpoint.slug}", "variables": {{}}, "wait": 30}},
    timeout=40,
)
answer.raise_for_status()
print(answer.json()["output"])"""
    read = f'curl {AUTHORIZATION} \\\n  "{api}/endpoints/{endpoint.slug}"'
    return [
        {"id": "run", "label": _("Run a prompt on it (curl)"), "text": run},
        {"id": "python", "label": "Python", "text": python},
        {"id": "read", "label": _("Read it (curl)"), "text": read},
    ]
