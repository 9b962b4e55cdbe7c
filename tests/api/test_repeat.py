"""`Idempotency-Key`: a POST that is sent again, also at the same moment, happens once."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from promptops.accounts.models import IdempotencyKey
from promptops.prompts.models import Prompt, PromptVersion
from tests.api.client import Caller, chat, make_caller, make_project, problem

SENT_AT_ONCE = 5


@pytest.mark.django_db(transaction=True)
def test_a_request_that_is_sent_several_times_at_once_happens_once() -> None:
    admin = make_caller(make_project())
    gate, answers = threading.Barrier(SENT_AT_ONCE), []

    def send() -> None:
        caller = Caller(admin.project, admin.token, admin.secret, Client())
        gate.wait()
        answers.append(caller.post("/prompts", {"slug": "once", **chat()}, key="same"))
        connection.close()

    threads = [threading.Thread(target=send) for _again in range(SENT_AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (Prompt.objects.count(), PromptVersion.objects.count()) == (1, 1)
    statuses = {answer.status_code for answer in answers}
    assert 201 in statuses
    assert statuses <= {201, 409}
    for answer in answers:
        if answer.status_code == 409:
            assert problem(answer, 409, "idempotency_in_progress")["retry_after"] == 1
            assert answer["Retry-After"] == "1"
    assert admin.post("/prompts", {"slug": "once", **chat()}, key="same")["Idempotency-Replayed"] == "true"


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "a b", "ü", "x" * 256, "tab\there"])
def test_a_key_that_is_none_is_refused(admin: Caller, key: str) -> None:
    answer = admin("POST", "/prompts", {"slug": "x", **chat()}, headers={"Idempotency-Key": key})
    problem(answer, 422)
    assert not Prompt.objects.exists()


@pytest.mark.django_db
def test_a_key_counts_for_one_caller(admin: Caller) -> None:
    other = make_caller(admin.project, "editor")
    admin.ok("POST", "/prompts", {"slug": "one", **chat()}, status=201)
    for caller, slug in ((admin, "two"), (other, "three")):
        assert caller.post("/prompts", {"slug": slug, **chat()}, key="same").status_code == 201
    assert IdempotencyKey.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/prompts/support-reply/versions", chat(text="two")),
        ("/prompts/support-reply/versions", chat()),
        ("/prompts/support-reply/labels/production/rollback", {}),
        ("/prompts/support-reply/archive", {}),
        ("/drafts", {"content": chat()}),
        ("/render", {"prompt": "support-reply", "version": 1, "variables": {"shop": "S", "question": "Q"}}),
    ],
)
def test_every_post_can_be_repeated(admin: Caller, path: str, body: dict[str, Any]) -> None:
    admin.make_prompt()
    admin.ok("POST", "/prompts/support-reply/versions", chat(text="between"), status=201)
    admin.ok("PUT", "/prompts/support-reply/labels/production", {"version": 2})
    first, again = (admin.post(path, body, key="same") for _twice in range(2))
    assert first.status_code < 300
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert again["Idempotency-Replayed"] == "true"
