"""The audit log: complete, verifiable, and out of the application's reach."""

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from promptops.accounts.actors import SYSTEM
from promptops.audit import services as audit
from promptops.audit.models import AuditEvent
from tests import services
from tests.people import make_team

pytestmark = pytest.mark.django_db(transaction=True)


def record(project_id: int | None = 7, **detail: Any) -> None:
    with transaction.atomic():
        audit.record(SYSTEM, "thing.done", project_id=project_id, target_kind="thing", target_id=1, detail=detail)


def test_it_verifies_a_chain_written_by_real_services() -> None:
    team = make_team()
    team.prompt()

    verification = audit.verify(team.project.pk)

    assert verification.valid
    assert verification.events == AuditEvent.objects.filter(chain=team.project.pk).count() > 4
    assert audit.verify(None).valid


def test_it_numbers_each_chain_by_itself_without_gaps() -> None:
    for project in (7, 8, 7, None, 7):
        record(project)

    assert [audit.verify(project).events for project in (7, 8, None)] == [3, 1, 1]


def test_a_rolled_back_change_leaves_no_event_and_no_gap() -> None:
    record()
    with transaction.atomic():
        audit.record(SYSTEM, "x", project_id=7, target_kind="t", target_id=1)
        transaction.set_rollback(True)
    record()

    assert audit.verify(7).events == 2
    assert audit.verify(7).valid


def test_it_refuses_to_record_outside_the_transaction_of_the_change() -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        audit.record(SYSTEM, "x", project_id=7, target_kind="t", target_id=1)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditevent SET action = 'other'",
        "DELETE FROM audit_auditevent",
        "UPDATE audit_auditlink SET hash = 'x'",
        "DELETE FROM audit_auditlink",
        "INSERT INTO audit_auditlink (event_id, chain, number, previous_hash, hash) VALUES (1, 7, 9, '', '')",
        "UPDATE audit_chain SET number = 0",
        "ALTER TABLE audit_auditevent DISABLE TRIGGER ALL",
        "TRUNCATE audit_auditevent CASCADE",
    ],
)
def test_the_application_role_cannot_rewrite_it(statement: str) -> None:
    record()
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)

    assert audit.verify(7).events == 1
    assert audit.verify(7).valid


@pytest.mark.parametrize(
    ("tampering", "reason"),
    [
        ("UPDATE audit_auditevent SET payload = replace(payload, 'secret', 'public') WHERE chain = 7", "hash"),
        ("UPDATE audit_auditevent SET action = 'other' WHERE chain = 7", "columns"),
        ("DELETE FROM audit_auditlink WHERE number = 2", "missing"),
        ("DELETE FROM audit_auditlink WHERE number = 3", "end of the chain"),
    ],
)
def test_it_shows_what_the_owner_role_tampered_with(
    session_directory: Any, database_name: str, tampering: str, reason: str
) -> None:
    for word in ("a", "secret", "b"):
        record(word=word)
    with services.role(session_directory, database_name, "promptops_owner") as owner:
        owner.execute("ALTER TABLE audit_auditevent DISABLE TRIGGER USER")
        owner.execute("ALTER TABLE audit_auditlink DISABLE TRIGGER USER")
        owner.execute(tampering)
        owner.execute("ALTER TABLE audit_auditevent ENABLE TRIGGER USER")
        owner.execute("ALTER TABLE audit_auditlink ENABLE TRIGGER USER")
        owner.commit()

    verification = audit.verify(7)

    assert not verification.valid
    assert reason in verification.reason
