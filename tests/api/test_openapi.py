"""The OpenAPI document is the contract: any change of it is a change of a file that a reviewer sees."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from jsonschema import Draft202012Validator

from promptops.api import api

SNAPSHOT = Path(__file__).with_name("openapi.json")


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(api.get_openapi_schema(path_prefix="/api/v1/"), default=str))
    return found


def test_it_is_the_one_that_was_agreed() -> None:
    text = json.dumps(document(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(text, encoding="utf-8")
    agreed = SNAPSHOT.read_text(encoding="utf-8") if SNAPSHOT.exists() else ""
    assert text == agreed, "The REST API changed. If that is meant: UPDATE_SNAPSHOTS=1 pytest tests/api/test_openapi.py"


def test_every_operation_is_described_for_people() -> None:
    seen: set[str] = set()
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["tags"], where
            assert operation["operationId"] not in seen, where
            seen.add(operation["operationId"])
            assert "default" in operation["responses"], where
            assert {"401", "403", "422"} <= set(operation["responses"]), where
            assert ("Idempotency-Key" in [one["name"] for one in operation["parameters"]]) == (method == "post"), where


def test_every_schema_in_it_is_a_json_schema() -> None:
    for name, schema in document()["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        for field in schema.get("properties", {}).values():
            for example in field.get("examples", []):
                validator = Draft202012Validator({**field, "components": document()["components"]})
                assert validator.is_valid(example), (name, example)


def test_anybody_may_read_it(db: None) -> None:
    answer = Client().get("/api/v1/openapi.json")
    assert answer.status_code == 200
    assert answer.json()["openapi"].startswith("3.1")
    page = Client().get("/api/v1/docs")
    assert page.status_code == 200
    assert b"swagger-ui" in page.content


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v2/prompts", "/api/"])
def test_an_unknown_path_answers_a_problem(db: None, path: str) -> None:
    answer = Client().get(path)
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
