"""Moving a protected label past review, with all that the application's role can do: REST, the ORM, SQL, forged rows.

The tests' own connection is the application's role (`promptops_app`). What is deferred to the commit is asked at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, ProgrammingError, connection, transaction
from django.test import Client
from django.utils import timezone

from promptops.core.database import broken_rule
from promptops.core.errors import Conflict
from promptops.prompts.models import Label, LabelMove, Prompt, PromptVersion
from promptops.prompts.services import rollback_label, update_prompt
from promptops.reviews import services
from promptops.reviews.models import ChangeRequest, Release, Verdict
from promptops.reviews.selectors import is_protected, standing_of
from tests.people import Team
from tests.reviews.reviewing import acting, colleague, fresh, live, merged, proposed, protect, released, save

pytestmark = pytest.mark.django_db
REFUSED = ("label_protected", "label_history", "review_rule", "change_blocked")


@contextmanager
def refused(*rules: str) -> Iterator[None]:
    """What is done inside is refused by the database, at the latest at commit, by one of our rules."""
    with pytest.raises(DatabaseError) as told, transaction.atomic():  # noqa: PT012  (whichever of the two refuses)
        yield
        sql("SET CONSTRAINTS ALL IMMEDIATE")
    if isinstance(told.value, IntegrityError):
        assert broken_rule(told.value) in (rules or ("", *REFUSED)), broken_rule(told.value)
    sql("SET CONSTRAINTS ALL DEFERRED")


def sql(statement: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


@pytest.fixture
def guarded(team: Team) -> tuple[Team, Prompt, PromptVersion]:
    """`production` of a prompt stands at version 1 and wants two approvals; version 2 was never approved."""
    prompt = released(team).prompt
    protect(team, approvals=2)
    return team, prompt, save(team, prompt, "never approved")


Guarded = tuple[Team, Prompt, PromptVersion]


def label_of(prompt: Prompt) -> Label:
    return Label.objects.get(prompt=prompt, name="production")


def event(change: ChangeRequest, **detail: Any) -> None:
    """An event such as a forger would add, so that nothing but the forged row itself is to blame."""
    payload = json.dumps({"detail": detail})
    sql(
        "INSERT INTO audit_auditevent (chain, at, actor_kind, action, target_kind, target_id, payload) "
        "VALUES (%s, now(), 'user', 'change.approved', 'change', %s, %s)",
        change.project_id,
        str(change.pk),
        payload,
    )


def forged_verdict(change: ChangeRequest, reviewer: Any, /, **fields: Any) -> Verdict:
    given = {
        "change": change,
        "kind": "approve",
        "reviewer": reviewer,
        "version": change.candidate,
        "closure_sha256": change.candidate.closure_sha256,
        "actor_user": reviewer,
        "actor_name": reviewer.name,
    }
    verdict = Verdict.objects.create(**{**given, **fields})
    event(change, verdict=verdict.pk)
    return verdict


def test_rest_is_told_to_open_a_change_request(guarded: Guarded) -> None:
    team, prompt, second = guarded
    headers = {"Authorization": f"Bearer {team.token('admin')}"}
    path = f"/api/v1/prompts/{prompt.slug}/labels/production"
    body = json.dumps({"version": second.number})
    answer = Client().put(path, body, content_type="application/json", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "label_protected")
    assert "change request" in answer.json()["detail"]
    assert Client().delete(path, headers=headers).json()["code"] == "label_protected"
    body = json.dumps({"version": second.number, "reason": "please"})
    answer = Client().post(f"{path}/rollback", body, content_type="application/json", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "never_live")
    assert live(prompt) == 1


def test_the_orm_and_sql_are_refused(guarded: Guarded) -> None:
    _team, prompt, second = guarded
    label = label_of(prompt)
    with refused("label_protected"):
        Label.objects.filter(pk=label.pk).update(version=second)
    with refused("label_protected"):
        sql("UPDATE prompts_label SET version_id = %s WHERE id = %s", second.pk, label.pk)
    with refused("label_protected"):
        sql("UPDATE prompts_label SET version_id = NULL WHERE id = %s", label.pk)
    with refused("label_protected"):
        sql("DELETE FROM prompts_label WHERE id = %s", label.pk)
    assert live(prompt) == 1


def test_a_label_is_not_made_anew_or_renamed_into_a_protected_one(guarded: Guarded) -> None:
    team, prompt, second = guarded
    other = team.prompt("other")
    with refused("label_protected"):
        Label.objects.create(project=team.project, prompt=other.prompt, name="production", version=other)
    free = Label.objects.create(project=team.project, prompt=other.prompt, name="staging", version=other)
    LabelMove.objects.create(label=free, to_version=other, actor_kind="user", actor_name="x")
    for column, value in (("name", "production"), ("prompt_id", prompt.pk), ("project_id", team.elsewhere.pk)):
        with refused():
            sql(f"UPDATE prompts_label SET {column} = %s WHERE id = %s", value, free.pk)
    with refused():
        sql("UPDATE prompts_label SET id = id + 1000 WHERE id = %s", free.pk)
    with refused():  # a version of another prompt
        Label.objects.filter(pk=label_of(prompt).pk).update(version=other)
    assert second.prompt == prompt


def test_history_is_not_forged_to_roll_back_to(guarded: Guarded) -> None:
    _team, prompt, second = guarded
    label = label_of(prompt)
    first = label.version
    forged = {"label": label, "actor_kind": "user", "actor_name": "x", "at": timezone.now()}
    with refused("label_history"):
        LabelMove.objects.create(from_version=first, to_version=second, authority="rollback", **forged)
    with refused("label_history"):
        LabelMove.objects.create(from_version=None, to_version=second, authority="merge", **forged)
    with refused("label_history"):
        LabelMove.objects.create(from_version=first, to_version=first, **forged)
    with refused():
        sql("UPDATE prompts_labelmove SET to_version_id = %s WHERE label_id = %s", second.pk, label.pk)
    with refused():
        sql("DELETE FROM prompts_labelmove WHERE label_id = %s", label.pk)
    assert live(prompt) == 1


def test_a_label_moves_with_its_history_or_not_at_all(team: Team) -> None:
    prompt = released(team).prompt
    second = save(team, prompt, "second")
    with refused("label_history"):  # not even a free one
        Label.objects.filter(prompt=prompt).update(version=second)
    protect(team)
    merged(team, proposed(team, prompt, "third"))
    with refused("label_history"):  # back to what was live, but nobody can see it
        Label.objects.filter(prompt=prompt).update(version=prompt.versions.get(number=1))
    with refused():  # and with a row, but without an event in the audit chain
        first, third = prompt.versions.get(number=1), prompt.versions.get(number=3)
        Label.objects.filter(prompt=prompt).update(version=first)
        LabelMove.objects.create(
            label=label_of(prompt),
            from_version=third,
            to_version=first,
            authority="rollback",
            actor_kind="user",
            actor_name="x",
        )
    rollback_label(team.actor("editor"), prompt, "production")
    assert live(prompt) == 1


def test_approvals_are_never_changed_taken_away_or_dated_back(guarded: Guarded) -> None:
    team, prompt, second = guarded
    change = proposed(team, prompt, version=second)
    services.approve(team.actor("reviewer"), change)
    for statement in (
        "UPDATE reviews_verdict SET reviewer_id = reviewer_id",
        "DELETE FROM reviews_verdict",
        "UPDATE reviews_labelpolicy SET protected = false",
        "DELETE FROM reviews_labelpolicy",
        "UPDATE reviews_checkresult SET passed = true",
    ):
        with refused(""):
            sql(statement)
    protect(team, approvals=1, hold_seconds=3600)
    verdict = forged_verdict(change, team.admin, at=timezone.now().replace(year=2001))
    verdict.refresh_from_db()
    assert verdict.at.year > 2001
    assert "hold" in standing_of(change).codes


def test_forged_approvals_are_refused(guarded: Guarded) -> None:
    team, prompt, second = guarded
    change = proposed(team, prompt, version=second)
    third = save(team, prompt, "another text")
    for reviewer in (team.editor, team.outsider, team.viewer):  # the author, a stranger, too small a role
        with refused("review_rule"):
            forged_verdict(change, reviewer)
    for wrong in (
        {"closure_sha256": "0" * 64},
        {"version": third},
        {"version": third, "closure_sha256": third.closure_sha256},
        {"reviewer": team.admin},  # in somebody else's name
    ):
        with refused("review_rule"):
            forged_verdict(change, team.reviewer, **wrong)
    with refused("review_rule"):  # without an event in the audit chain
        Verdict.objects.create(
            change=change,
            kind="approve",
            reviewer=team.reviewer,
            version=second,
            closure_sha256=second.closure_sha256,
            actor_user=team.reviewer,
            actor_name="x",
        )
    assert standing_of(change).approvals == []


def test_one_reviewer_is_one_approval_however_often(guarded: Guarded) -> None:
    team, prompt, second = guarded
    change = proposed(team, prompt, version=second)
    for _time in range(3):
        forged_verdict(change, team.reviewer)
    assert len(standing_of(change).approvals) == 1
    with pytest.raises(Conflict):
        services.merge(team.actor("editor"), change)


def test_a_version_with_a_stolen_hash_is_not_the_approved_one(guarded: Guarded) -> None:
    team, prompt, second = guarded
    change = proposed(team, prompt, version=second)
    for role in ("reviewer", "admin"):
        services.approve(team.actor(role), change)
    evil = save(team, prompt, "evil")
    thief = PromptVersion.objects.create(
        prompt=prompt,
        number=9,
        parent=second,
        spec=evil.spec,
        content_sha256=evil.content_sha256,
        closure_sha256=second.closure_sha256,
        author_kind="user",
        author=team.editor,
        author_name="x",
    )
    ChangeRequest.objects.filter(pk=change.pk).update(candidate=thief, state="approved")
    assert standing_of(fresh(change)).approvals == []
    with refused("change_blocked"):
        release(change, thief)
    ChangeRequest.objects.filter(pk=change.pk).update(candidate=second, state="approved")
    assert standing_of(fresh(change)).approvals == []


def release(change: ChangeRequest, version: PromptVersion, /, **fields: Any) -> Release:
    label = label_of(change.prompt)
    given = {
        "project": change.project,
        "label": label,
        "from_version": label.version,
        "to_version": version,
        "authority": "merge",
        "change": change,
        "actor_user": change.author,
    }
    return Release.objects.create(**{**given, **fields})


def test_a_release_is_not_forged(guarded: Guarded) -> None:
    team, prompt, second = guarded
    change = proposed(team, prompt, version=second)
    services.approve(team.actor("reviewer"), change)
    for rule, wrong in (
        ("change_blocked", {}),
        ("review_rule", {"change": None}),
        ("review_rule", {"authority": "rollback"}),
        ("review_rule", {"authority": "break_glass", "reason": "now"}),  # an editor
        ("review_rule", {"authority": "break_glass", "reason": " ", "actor_user": team.owner}),
    ):
        with refused(rule):
            release(change, second, **wrong)
    services.approve(team.actor("admin"), change)
    with refused("review_rule"):  # to another version than the approved one
        release(change, save(team, prompt, "another"))
    with refused("review_rule"):  # granted, but nothing moves
        release(change, second)
    with refused():  # and a merge without a release
        ChangeRequest.objects.filter(pk=change.pk).update(state="merged", closed_at=timezone.now())
    services.merge(team.actor("editor"), change)
    assert live(prompt) == 2
    with refused("review_rule"):
        ChangeRequest.objects.filter(pk=change.pk).update(state="approved", closed_at=None)
    with refused():
        sql("DELETE FROM reviews_changerequest WHERE id = %s", change.pk)


def test_authorship_is_read_from_the_versions_not_from_the_request(guarded: Guarded) -> None:
    team, prompt, _second = guarded
    evil = save(team, prompt, "by the reviewer", by="reviewer")
    change = services.propose(team.actor("editor"), prompt, version=evil)
    with refused("review_rule"):
        forged_verdict(change, team.reviewer)
    with refused("review_rule"):
        ChangeRequest.objects.filter(pk=change.pk).update(author=team.viewer)


def test_only_an_admins_audited_row_changes_the_policy(guarded: Guarded) -> None:
    team, prompt, _second = guarded
    row = (
        "INSERT INTO reviews_labelpolicy (project_id, label, folder, protected, required_approvals, owners_required, "
        "checks, hold_seconds, withdrawn, actor_user_id, actor_name, at) "
        "VALUES (%s, 'production', '', false, 1, false, '{}', 0, false, %s, 'x', now())"
    )
    for person in (team.editor, team.reviewer, team.outsider):
        with refused("review_rule"):
            sql(row, team.project.pk, person.pk)
    with refused("review_rule"):
        sql(row, team.project.pk, team.admin.pk)  # the name alone, without an event in the audit chain
    assert is_protected(prompt, "production")


def test_a_table_that_stands_in_for_ours_is_not_asked(guarded: Guarded) -> None:
    _team, prompt, second = guarded
    label = label_of(prompt)
    for table in ("reviews_labelpolicy", "prompts_prompt", "prompts_promptversion", "prompts_labelmove"):
        with refused("label_protected"):
            sql(f"CREATE TEMPORARY TABLE {table} (LIKE public.{table})")
            sql("SET LOCAL search_path = pg_temp, public")
            sql("UPDATE public.prompts_label SET version_id = %s WHERE id = %s", second.pk, label.pk)
    assert live(prompt) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE prompts_label DISABLE TRIGGER ALL",
        "ALTER TABLE reviews_verdict DISABLE TRIGGER reviews_guard_verdict",
        "DROP TRIGGER reviews_guard_label ON prompts_label",
        "SET session_replication_role = replica",
        "TRUNCATE reviews_labelpolicy",
        "CREATE OR REPLACE FUNCTION reviews_is_protected(bigint, text) RETURNS boolean LANGUAGE sql AS 'SELECT false'",
        "SET ROLE promptops_owner",
    ],
)
def test_the_application_cannot_switch_the_rules_off(guarded: Guarded, statement: str) -> None:
    with pytest.raises(ProgrammingError), transaction.atomic():
        sql(statement)
    assert is_protected(guarded[1], "production")


def test_a_prompt_is_not_filed_away_from_the_rules_of_its_folder(team: Team) -> None:
    prompt = released(team, folder="billing").prompt
    services.set_label_policy(team.actor("admin"), team.project, "production", folder="billing")
    with pytest.raises(Conflict) as told:
        update_prompt(team.actor("editor"), prompt, folder="elsewhere")
    assert told.value.code == "folder_protected"
    prompt.refresh_from_db()
    update_prompt(team.actor("editor"), prompt, folder="billing/mail")
    with refused("folder_protected"):
        Prompt.objects.filter(pk=prompt.pk).update(folder="")
    services.set_label_policy(team.actor("admin"), team.project, "production", prompt=prompt)
    update_prompt(team.actor("editor"), prompt, folder="elsewhere")
    assert is_protected(prompt, "production")


def test_the_narrowest_policy_counts(team: Team) -> None:
    prompt = released(team, folder="billing/mail").prompt
    admin = team.actor("admin")
    protect(team, approvals=3)
    services.set_label_policy(admin, team.project, "production", folder="billing", required_approvals=2)
    services.set_label_policy(admin, team.project, "production", folder="bill", protected=False)
    change = proposed(team, prompt)
    assert change.required_approvals == 2
    own = services.set_label_policy(admin, team.project, "production", prompt=prompt, protected=False)
    assert fresh(change).state == "approved"
    services.remove_label_policy(admin, own)
    assert (fresh(change).state, fresh(change).required_approvals) == ("open", 2)
    assert is_protected(team.prompt("other").prompt, "production")
    assert not is_protected(prompt, "staging")


def test_an_owner_does_not_count_when_made_so_by_somebody_else(team: Team) -> None:
    prompt = released(team, folder="billing").prompt
    protect(team, owners_required=True)
    lead = colleague(team.project, "lead")
    change = proposed(team, prompt)
    services.approve(acting(lead), change)
    with refused("review_rule"):
        sql(
            "INSERT INTO reviews_codeowners (project_id, folder, people, actor_user_id, actor_name, at) "
            "VALUES (%s, '', %s, %s, 'x', now())",
            team.project.pk,
            [lead.pk],
            lead.pk,
        )
    assert standing_of(change).codes == ["owners"]


def test_no_other_prompt_is_served_under_a_slug_that_was_taken(guarded: Guarded) -> None:
    team, prompt, _second = guarded
    other = team.prompt("other").prompt
    with refused():
        Prompt.objects.filter(pk=prompt.pk).update(slug="aside")
    update_prompt(team.actor("editor"), prompt, slug="renamed")
    with refused():
        Prompt.objects.filter(pk=other.pk).update(slug="greeting")
    with refused():
        sql("DELETE FROM prompts_promptslug WHERE slug = 'greeting'")
    with refused():
        sql("UPDATE prompts_promptslug SET prompt_id = %s WHERE slug = 'greeting'", other.pk)
    prompt.refresh_from_db()
    update_prompt(team.actor("editor"), prompt, slug="greeting")
    sql("SET CONSTRAINTS ALL IMMEDIATE")


def test_what_moves_without_review_is_not_included_under_a_protected_label(team: Team) -> None:
    part = released(team, "part", kind="text", messages=[{"content": "Be polite."}])
    prompt = released(team).prompt
    services.set_label_policy(team.actor("admin"), team.project, "production", prompt=prompt)
    change = proposed(team, prompt, '{% include "part@production" %} Greet {{ name }}.')
    services.approve(team.actor("reviewer"), change)
    assert standing_of(change).codes == ["includes"]
    with pytest.raises(Conflict):
        services.merge(team.actor("editor"), change)
    services.set_label_policy(team.actor("admin"), team.project, "production", prompt=part.prompt)
    services.merge(team.actor("editor"), change)
    fixed = proposed(team, prompt, '{% include "part@1" %} Greet {{ name }}.')
    services.approve(team.actor("reviewer"), fixed)
    assert standing_of(fixed).codes == []
