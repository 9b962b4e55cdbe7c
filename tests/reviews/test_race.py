"""Several people at the same moment, each in a transaction of their own: one merges, the others are told why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from promptops.accounts.models import Membership
from promptops.accounts.services import change_role
from promptops.audit.querysets import events_of
from promptops.audit.services import verify
from promptops.core.errors import AppError
from promptops.prompts.models import LabelMove
from promptops.prompts.services import move_label, rollback_label
from promptops.reviews import services
from promptops.reviews.models import ChangeRequest, Release
from tests.people import Team, make_team
from tests.prompts.test_write_at_once import at_once, codes, moves_in_order
from tests.reviews.reviewing import fresh, live, merged, proposed, protect, released, save

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def busy() -> Team:
    return make_team()


def approved(team: Team, prompt: Any, text: str) -> ChangeRequest:
    change = proposed(team, prompt, text)
    services.approve(team.actor("reviewer"), change)
    return fresh(change)


def test_of_requests_for_the_same_place_that_are_merged_at_once_one_is(busy: Team) -> None:
    prompt = released(busy).prompt
    protect(busy)
    changes = [approved(busy, prompt, f"text {number}") for number in range(3)]
    outcomes = at_once([lambda change=change: services.merge(busy.actor("editor"), change) for change in changes])  # type: ignore[misc]
    assert codes(outcomes) == ["outdated", "outdated"]
    assert sorted(fresh(change).state for change in changes) == ["merged", "outdated", "outdated"]
    won = next(change for change in changes if fresh(change).state == "merged")
    assert live(prompt) == won.candidate.number
    assert [move.authority for move in moves_in_order()] == ["direct", "merge"]
    assert verify(busy.project.pk).valid


def test_one_request_is_merged_once_however_often_the_button_is_pressed(busy: Team) -> None:
    prompt = released(busy).prompt
    protect(busy)
    change = approved(busy, prompt, "text")
    outcomes = at_once([lambda: services.merge(busy.actor("editor"), change)] * 4)
    assert codes(outcomes) == ["wrong_state"] * 3
    assert Release.objects.count() == 1


def test_a_merge_and_an_amendment_at_once_never_release_what_nobody_approved(busy: Team) -> None:
    prompt = released(busy).prompt
    protect(busy)
    change = approved(busy, prompt, "approved")
    other = save(busy, prompt, "not approved")
    at_once(
        [
            lambda: services.merge(busy.actor("editor"), change),
            lambda: services.replace_candidate(busy.actor("editor"), change, version=other),
            lambda: services.request_changes(busy.actor("reviewer"), change, body="Wait"),
        ]
    )
    assert live(prompt) in (1, change.candidate.number)
    assert (live(prompt) != 1) == (fresh(change).state == "merged")


def test_a_role_that_is_taken_away_while_it_is_merged_counts_before_or_not_at_all(busy: Team) -> None:
    prompt = released(busy).prompt
    protect(busy)
    change = approved(busy, prompt, "text")
    membership = Membership.objects.get(user=busy.reviewer)
    outcomes = at_once(
        [
            lambda: services.merge(busy.actor("editor"), change),
            lambda: change_role(busy.actor("admin"), membership, role="viewer"),
        ]
    )
    assert live(prompt) == (1 if codes(outcomes) else change.candidate.number)
    assert codes(outcomes) in ([], ["not_mergeable"])


def test_many_who_merge_move_and_roll_back_make_one_legal_order(busy: Team) -> None:
    first = released(busy)
    prompt = first.prompt
    protect(busy)
    merged(busy, proposed(busy, prompt, "second"), by="admin")
    versions = [save(busy, prompt, f"never {number}") for number in range(3)]

    def mover(version: Any) -> Callable[[], Any]:
        return lambda: [
            _told(lambda: move_label(busy.actor("editor"), prompt, "production", version)) for _n in range(4)
        ]

    def roller() -> list[str]:
        return [_told(lambda: rollback_label(busy.actor("editor"), prompt, "production")) for _n in range(4)]

    def releaser() -> list[str]:
        told = []
        for number in range(3):
            change = proposed(busy, prompt, f"proposed {number}")
            told.append(_told(lambda change=change: services.approve(busy.actor("admin"), change)))  # type: ignore[misc]
            told.append(_told(lambda change=change: services.merge(busy.actor("editor"), change)))  # type: ignore[misc]
        return told

    outcomes = at_once([*map(mover, versions), roller, roller, releaser])
    assert {told for mover in outcomes[:3] for told in mover} == {"label_protected"}
    moves = moves_in_order()
    assert [move.from_version for move in moves[1:]] == [move.to_version for move in moves[:-1]]
    approved_ids = set(ChangeRequest.objects.filter(state="merged").values_list("candidate", flat=True)) | {first.pk}
    assert {move.to_version_id for move in moves} <= approved_ids
    assert live(prompt) == (moves[-1].to_version.number if moves[-1].to_version else None)
    told = events_of(busy.project.pk, target_kind="prompt").filter(action__startswith="label.").count()
    assert told == LabelMove.objects.count()
    assert verify(busy.project.pk).valid


def test_those_who_propose_at_once_get_numbers_without_gaps(busy: Team) -> None:
    prompt = released(busy).prompt
    versions = [save(busy, prompt, f"text {number}") for number in range(4)]
    at_once([lambda version=version: proposed(busy, prompt, version=version) for version in versions])  # type: ignore[misc]
    assert sorted(ChangeRequest.objects.values_list("number", flat=True)) == [1, 2, 3, 4]


def _told(call: Callable[[], Any]) -> str:
    """What became of a call: the code of its refusal, or "done"."""
    try:
        call()
    except AppError as error:
        return error.code
    return "done"
