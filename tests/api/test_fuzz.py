"""Whatever is sent to REST, in whatever shape: no operation answers with a server error, or against its description."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
import schemathesis
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Response
from schemathesis.checks import CHECKS, load_all_checks

from promptops.accounts.models import Project
from promptops.api import api
from tests.api.client import Caller, chat

EXAMPLES = 12  # an operation; the whole is a minute of one core

load_all_checks()
described = schemathesis.openapi.from_dict(
    json.loads(json.dumps(api.get_openapi_schema(path_prefix="/api/v1/"), default=str))
)
# Streams need the ASGI layer: see tests/runs.
schema = described.exclude(operation_id=["run_events"])

WANTED = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
CHECKED = CHECKS.get_by_names(list(WANTED))


@pytest.fixture
def furnished(project: Project, admin: Caller) -> Caller:
    """A project in which random slugs find something now and then."""
    for slug in ("0", "a"):
        admin.make_prompt(slug)
        admin.ok("POST", f"/prompts/{slug}/versions", chat(text="second {{ question }}"), status=201)
    return admin


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
def test_it_answers_as_described(case: Any, furnished: Caller) -> None:
    with transaction.atomic():
        answer = call(case, furnished)
        transaction.set_rollback(True)
    case.validate_response(answer, checks=CHECKED)


def call(case: Any, caller: Caller) -> Response:
    """Send a generated case through Django's test client, and give the answer the form that schemathesis checks."""
    sent = requests.Request(**case.as_transport_kwargs(base_url="http://testserver/")).prepare()
    headers = {name: str(value) for name, value in sent.headers.items()}
    headers["Authorization"] = f"Bearer {caller.secret}"
    content_type = headers.pop("Content-Type", "application/json")
    body = sent.body.encode() if isinstance(sent.body, str) else sent.body or b""
    given = caller.client.generic(str(sent.method), sent.path_url, body, content_type=content_type, headers=headers)
    given_headers = {name: [value] for name, value in given.headers.items()}
    return Response(given.status_code, given_headers, given.content, sent, elapsed=0, verify=False)
