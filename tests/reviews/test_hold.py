"""Whatever people do, in whatever order: what is served under a protected label was approved.

A short run here; `REVIEW_STEPS=50000 pytest tests/reviews/test_hold.py` makes the long one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from promptops.accounts.actors import Actor
from promptops.accounts.models import Membership, User
from promptops.core.errors import AppError
from promptops.prompts.models import Label, LabelMove, Prompt, PromptVersion
from promptops.prompts.services import create_version, move_label, remove_label, rollback_label
from promptops.reviews import services
from promptops.reviews.models import ChangeRequest, Verdict
from promptops.reviews.selectors import get_change
from tests.people import Team, make_team
from tests.reviews.reviewing import acting, colleague, fresh, live, protect, released, said

STEPS = int(os.environ.get("REVIEW_STEPS", "160"))
STEPS_AN_EXAMPLE = 40
ROLES = ["reviewer", "admin", "reviewer", "editor"]
ABLE = ("reviewer", "admin", "owner")
PERSON = st.integers(0, 4)
NUMBER = st.integers(0, 30)


class Releasing(RuleBasedStateMachine):
    """Five people work on one prompt whose `production` is protected. ``legal`` are the versions that may be live."""

    def __init__(self) -> None:
        super().__init__()
        self.example = transaction.atomic()
        self.example.__enter__()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.example.__exit__(None, None, None)

    @initialize()
    def begin(self) -> None:
        self.team: Team = make_team("hold")
        first = released(self.team)
        self.prompt = first.prompt
        self.required = 1
        protect(self.team, approvals=1)
        extra = [colleague(self.team.project, name) for name in ("lead", "peer")]
        self.people: list[User] = [self.team.editor, self.team.reviewer, self.team.admin, *extra]
        self.legal = {first.pk}
        self.texts = 0
        self.attempt(lambda: self.proposed(acting(self.people[0]), first))

    def attempt(self, call: Callable[[], Any]) -> Any:
        """Make a call; return its result, or its refusal."""
        try:
            with transaction.atomic():
                return call()
        except AppError as error:
            return error

    def version(self, number: int) -> PromptVersion:
        versions = list(self.prompt.versions.order_by("number"))
        return versions[number % len(versions)]

    def change(self, number: int) -> ChangeRequest:
        count = ChangeRequest.objects.filter(project=self.team.project).count()
        return get_change(self.team.project, number % count + 1)

    def chosen(self, number: int) -> ChangeRequest:
        """Mostly the one that is nearest to a merge: else almost none would get there."""
        if number % 4 == 0:
            return self.change(number)
        changes = ChangeRequest.objects.filter(project=self.team.project)
        best = max(changes, key=lambda one: (one.state == "approved", one.state in ChangeRequest.IN_REVIEW, one.number))
        return get_change(self.team.project, best.number)

    def has_changes(self) -> bool:
        return hasattr(self, "team") and ChangeRequest.objects.filter(project=self.team.project).exists()

    @rule(who=PERSON, parent=NUMBER)
    def propose(self, who: int, parent: int) -> None:
        self.attempt(lambda: self.proposed(acting(self.people[who]), self.version(parent)))

    def proposed(self, actor: Actor, parent: PromptVersion) -> ChangeRequest:
        self.texts += 1
        version, _created = create_version(actor, self.prompt, said(f"text {self.texts}"), parent=parent)
        return services.propose(actor, self.prompt, version=version, title="t")

    @precondition(has_changes)
    @rule(people=st.sets(PERSON, min_size=2), number=NUMBER)
    def approve(self, people: set[int], number: int) -> None:
        change = self.chosen(number)
        for person in (self.people[who] for who in sorted(people)):
            given = self.attempt(lambda person=person: services.approve(acting(person), change))  # type: ignore[misc]
            assert isinstance(given, AppError) or person.pk not in self.authors(change)

    @precondition(has_changes)
    @rule(who=PERSON, whose=PERSON, number=NUMBER)
    def object_or_dismiss(self, who: int, whose: int, number: int) -> None:
        change, actor = self.change(number), acting(self.people[who])
        if who == whose:
            self.attempt(lambda: services.request_changes(actor, change, body="no"))
        else:
            self.attempt(lambda: services.dismiss(actor, change, self.people[whose], reason="r"))

    @precondition(has_changes)
    @rule(who=PERSON, number=NUMBER, how=st.sampled_from(["amend", "rebase", "rebase", "reopen", "withdraw", "reject"]))
    def change_it(self, who: int, number: int, how: str) -> None:
        change, actor = self.change(number), acting(self.people[who])
        if how == "amend":
            self.attempt(lambda: services.replace_candidate(actor, change, version=self.version(number)))
        else:
            more: dict[str, Any] = {}
            if how == "reject":
                more["reason"] = "r"
            elif how == "rebase":
                more["resolved"] = said(f"rebased {self.texts}")
            self.attempt(lambda: getattr(services, how)(actor, change, **more))

    @precondition(has_changes)
    @rule(who=PERSON, number=NUMBER)
    def merge(self, who: int, number: int) -> None:
        self.merged(acting(self.people[who]), self.chosen(number))

    @rule(who=PERSON, parent=NUMBER)
    def go_the_whole_way(self, who: int, parent: int) -> None:
        actor = acting(self.people[who])
        change = self.attempt(lambda: self.proposed(actor, self.version(parent)))
        if isinstance(change, ChangeRequest):
            for person in self.people:
                self.attempt(lambda person=person: services.approve(acting(person), change))  # type: ignore[misc]
            self.merged(actor, fresh(change))

    def merged(self, actor: Actor, change: ChangeRequest) -> None:
        able = self.may_be_merged(change)
        move = self.attempt(lambda: services.merge(actor, change))
        assert (not isinstance(move, AppError)) == able, (move, change.state)
        if able:
            self.legal.add(change.candidate_id)

    @rule(who=PERSON, number=NUMBER, how=st.sampled_from(["move", "remove", "sql", "forge", "glass"]))
    def go_past_it(self, who: int, number: int, how: str) -> None:
        actor, version, stands = acting(self.people[who]), self.version(number), live(self.prompt)
        if how == "move":
            self.attempt(lambda: move_label(actor, self.prompt, "production", version))
        elif how == "remove":
            self.attempt(lambda: remove_label(actor, self.prompt, "production"))
        elif how == "sql" and version.number != stands:
            with pytest.raises(DatabaseError):
                _write(self.prompt, version)
        elif how == "forge" and self.has_changes():
            with pytest.raises(DatabaseError):
                _forge(self.change(number), self.people[who])
        elif how == "glass" and number == 0 and self.has_changes():
            change, owner = self.change(number), self.team.actor("owner")
            if not isinstance(self.attempt(lambda: services.break_glass(owner, change, reason="now")), AppError):
                self.legal.add(change.candidate_id)
            return
        assert live(self.prompt) == stands

    @rule(who=PERSON, number=NUMBER)
    def roll_back(self, who: int, number: int) -> None:
        version = self.version(number) if number % 2 else None
        self.attempt(lambda: rollback_label(acting(self.people[who]), self.prompt, "production", version=version))

    @rule(who=PERSON, role=st.sampled_from(ROLES), approvals=st.integers(1, 2))
    def change_the_rules(self, who: int, role: str, approvals: int) -> None:
        Membership.objects.filter(project=self.team.project, user=self.people[who]).update(role=role)
        services.set_label_policy(
            self.team.actor("owner"), self.team.project, "production", required_approvals=approvals
        )
        self.required = approvals

    @invariant()
    def what_is_served_was_approved(self) -> None:
        if not hasattr(self, "legal"):
            return
        label = Label.objects.get(prompt=self.prompt, name="production")
        assert label.version_id in self.legal
        moves = list(LabelMove.objects.filter(label=label).order_by("id"))
        assert [move.from_version_id for move in moves[1:]] == [move.to_version_id for move in moves[:-1]]
        assert moves[-1].to_version_id == label.version_id
        _check_now()

    def authors(self, change: ChangeRequest) -> set[int | None]:
        """Counted anew, in Python: whoever wrote what the candidate adds to what it replaces."""
        versions = {version.pk: version for version in self.prompt.versions.all()}

        def line(pk: int | None) -> set[int]:
            found: set[int] = set()
            waiting = [pk]
            while waiting:
                at = waiting.pop()
                if at is not None and at not in found:
                    found.add(at)
                    waiting += [versions[at].parent_id, versions[at].merge_parent_id]
            return found

        added = (line(change.candidate_id) - line(change.replaces_id)) | {change.candidate_id}
        return {change.author_id} | {versions[pk].author_id for pk in added}

    def may_be_merged(self, change: ChangeRequest) -> bool:
        """Counted anew, in Python, from the rows."""
        change = fresh(change)
        stands = Label.objects.get(prompt=self.prompt, name="production").version_id
        if change.state not in ChangeRequest.IN_REVIEW or stands != change.replaces_id:
            return False
        newest = {
            verdict.reviewer_id: verdict.kind
            for verdict in Verdict.objects.filter(change=change, round=change.round).order_by("id")
        }
        roles = dict(Membership.objects.filter(project=self.team.project).values_list("user_id", "role"))
        authors = self.authors(change)
        counted = [kind for pk, kind in newest.items() if roles[pk] in ABLE and pk not in authors]
        return "request_changes" not in counted and counted.count("approve") >= self.required


def _write(prompt: Prompt, version: PromptVersion) -> None:
    """Move the label as somebody with a database client would."""
    with transaction.atomic():
        Label.objects.filter(prompt=prompt, name="production").update(version=version)
        _check_now()


def _forge(change: ChangeRequest, person: User) -> None:
    """An approval that no service gave: nothing of it is in the audit chain."""
    with transaction.atomic():
        Verdict.objects.create(
            change=change,
            kind="approve",
            reviewer=person,
            version=change.candidate,
            closure_sha256=change.candidate.closure_sha256,
            actor_user=person,
            actor_name="x",
        )
        _check_now()


def _check_now() -> None:
    """What is deferred to the commit is asked for at once."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


@pytest.mark.django_db
@pytest.mark.timeout(0 if STEPS > 1000 else 180)
def test_what_is_served_under_a_protected_label_was_always_approved() -> None:
    run_state_machine_as_test(
        Releasing,
        settings=settings(
            max_examples=max(1, STEPS // STEPS_AN_EXAMPLE),
            stateful_step_count=STEPS_AN_EXAMPLE,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
