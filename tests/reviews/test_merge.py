"""Proposing, reviewing, merging: the way of a change under a protected label."""

from __future__ import annotations

import pytest

from promptops.accounts.services import change_role
from promptops.audit.querysets import events_of
from promptops.core.errors import Conflict, Forbidden, Invalid, NotFound
from promptops.prompts.models import LabelMove
from promptops.prompts.services import (
    archive_prompt,
    commit_draft,
    create_version,
    move_label,
    open_draft,
    remove_label,
    restore_prompt,
    rollback_label,
    save_draft,
)
from promptops.reviews import services
from promptops.reviews.models import Verdict
from promptops.reviews.selectors import authors_of, standing_of
from tests.people import GREETING, Team
from tests.reviews.reviewing import acting, colleague, fresh, live, merged, proposed, protect, released, said, save


def test_what_two_people_approved_takes_its_place(team: Team) -> None:
    prompt = released(team).prompt
    protect(team, approvals=2)
    change = proposed(team, prompt, title="Warmer", reviewers=[team.reviewer])
    assert (change.number, change.state, change.required_approvals) == (1, "open", 2)

    services.approve(team.actor("reviewer"), change, body="Good.")
    assert fresh(change).state == "open"
    with pytest.raises(Conflict) as refused:
        services.merge(team.actor("editor"), change)
    assert refused.value.code == "not_mergeable"
    assert [one["code"] for one in refused.value.extra["blockers"]] == ["approvals"]
    assert live(prompt) == 1

    services.approve(team.actor("admin"), change)
    assert fresh(change).state == "approved"
    move = services.merge(team.actor("editor"), change)
    assert (move.authority, move.reason, move.closure_sha256) == (
        "merge",
        "#1 Warmer",
        change.candidate.closure_sha256,
    )
    assert live(prompt) == 2
    assert (fresh(change).state, fresh(change).closed_by) == ("merged", team.editor)
    actions = list(events_of(team.project.pk, target_kind="change").values_list("action", flat=True))
    assert actions == ["change.merged", "change.approved", "change.approved", "change.proposed"]


def test_a_protected_label_moves_in_no_other_way(team: Team) -> None:
    first = released(team)
    protect(team)
    second = save(team, first.prompt, "unreviewed")
    for role in ("editor", "admin", "owner"):
        with pytest.raises(Conflict) as refused:
            move_label(team.actor(role), first.prompt, "production", second)
        assert refused.value.code == "label_protected"
        with pytest.raises(Conflict) as refused:
            remove_label(team.actor(role), first.prompt, "production")
        assert refused.value.code == "label_protected"
    assert live(first.prompt) == 1
    move_label(team.actor("editor"), first.prompt, "staging", second)
    other = team.prompt("other")
    with pytest.raises(Conflict) as refused:
        move_label(team.actor("editor"), other.prompt, "production", other)
    assert refused.value.code == "label_protected"


def test_the_first_release_of_a_prompt_is_merged_too(team: Team) -> None:
    protect(team)
    version = team.prompt()
    change = proposed(team, version.prompt, version=version)
    assert change.replaces is None
    merged(team, change)
    assert live(version.prompt) == 1


def test_rolling_back_needs_no_review_but_only_to_what_was_live(team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    merged(team, proposed(team, prompt))
    never = save(team, prompt, "never live")
    rollback_label(team.actor("editor"), prompt, "production", reason="complaints")
    assert live(prompt) == 1
    rollback_label(team.actor("editor"), prompt, "production", version=prompt.versions.get(number=2))
    assert live(prompt) == 2
    with pytest.raises(Conflict) as refused:
        rollback_label(team.actor("editor"), prompt, "production", version=never)
    assert refused.value.code == "never_live"
    authorities = LabelMove.objects.order_by("id").values_list("authority", flat=True)
    assert list(authorities) == ["direct", "merge", "rollback", "rollback"]


def test_without_a_policy_everything_is_as_before(team: Team) -> None:
    prompt = released(team).prompt
    move_label(team.actor("editor"), prompt, "production", save(team, prompt, "second"))
    change = proposed(team, prompt, "third")
    assert change.state == "approved"
    services.merge(team.actor("editor"), change)
    assert live(prompt) == 3


def test_who_wrote_any_of_it_does_not_approve(team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    save(team, prompt, "by the reviewer", by="reviewer")
    change = proposed(team, prompt, "by the editor")
    assert authors_of(change) == {team.editor.pk, team.reviewer.pk}
    for role in ("editor", "reviewer"):
        with pytest.raises(Forbidden):
            services.approve(team.actor(role), change)
    services.approve(team.actor("admin"), change)
    services.merge(team.actor("editor"), change)


def test_who_wrote_in_the_shared_draft_does_not_approve(team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    editor = team.actor("editor")
    draft = save_draft(editor, open_draft(editor, prompt), revision=0, content=said("mine"))
    draft.collaborators.add(team.reviewer)
    draft = save_draft(team.actor("reviewer"), draft, revision=1, content=said("ours"))
    assert draft.writers == [team.editor.pk, team.reviewer.pk]
    version, _created = commit_draft(editor, draft, revision=2)
    change = proposed(team, prompt, version=version)
    with pytest.raises(Forbidden) as refused:
        services.approve(team.actor("reviewer"), change)
    assert refused.value.code == "own_change"


def test_who_wrote_what_is_live_already_may_approve_what_follows(team: Team) -> None:
    prompt = released(team).prompt  # by the editor
    protect(team)
    version = save(team, prompt, "by the reviewer", by="reviewer")
    change = services.propose(team.actor("reviewer"), prompt, version=version)
    lead = colleague(team.project, "lead")
    assert authors_of(change) == {team.reviewer.pk}
    services.approve(acting(lead), change)
    assert fresh(change).state == "approved"


def test_an_amended_candidate_needs_new_approvals(team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    change = proposed(team, prompt, "first try")
    services.request_changes(team.actor("reviewer"), change, body="Say please.")
    assert fresh(change).state == "changes_requested"
    services.approve(team.actor("admin"), change)
    assert fresh(change).state == "changes_requested"

    better = save(team, prompt, "second try, please")
    amended = services.replace_candidate(team.actor("editor"), change, version=better)
    assert (amended.state, amended.round, amended.candidate) == ("open", 2, better)
    assert standing_of(amended).verdicts == []
    with pytest.raises(Conflict):
        services.merge(team.actor("editor"), change)
    # Going back does not bring the old approval back.
    back = services.replace_candidate(team.actor("editor"), amended, version=prompt.versions.get(number=2))
    assert standing_of(back).approvals == []
    services.replace_candidate(team.actor("editor"), back, version=better)
    with pytest.raises(Conflict) as refused:
        services.approve(team.actor("reviewer"), change, expected=2)
    assert refused.value.code == "amended"
    services.approve(team.actor("reviewer"), change, expected=3)
    services.merge(team.actor("editor"), change)
    assert live(prompt) == 3


def test_a_reviewer_who_changes_their_mind_takes_the_approval_back(team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    change = proposed(team, prompt)
    services.approve(team.actor("reviewer"), change)
    services.request_changes(team.actor("reviewer"), change, body="On second thoughts, no.")
    with pytest.raises(Conflict) as refused:
        services.merge(team.actor("editor"), change)
    assert {one["code"] for one in refused.value.extra["blockers"]} == {"changes_requested", "approvals"}
    services.approve(team.actor("reviewer"), change)
    assert fresh(change).state == "approved"
    services.dismiss(team.actor("admin"), change, team.reviewer, reason="Left the company")
    assert fresh(change).state == "open"
    assert Verdict.objects.filter(change=change).count() == 4
    with pytest.raises(Forbidden):
        services.dismiss(acting(colleague(team.project, "another")), change, team.reviewer, reason="I disagree")


def test_a_reviewer_who_loses_the_role_does_not_count_any_more(team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    change = proposed(team, prompt)
    services.approve(team.actor("reviewer"), change)
    membership = team.project.memberships.get(user=team.reviewer)
    change_role(team.actor("admin"), membership, role="editor")
    assert [one.counts for one in standing_of(change).verdicts] == [False]
    with pytest.raises(Conflict) as refused:
        services.merge(team.actor("editor"), change)
    assert [one["code"] for one in refused.value.extra["blockers"]] == ["approvals"]
    change_role(team.actor("admin"), membership, role="reviewer")
    services.merge(team.actor("editor"), change)
    assert live(prompt) == 2


def test_a_policy_that_is_tightened_in_mid_review_holds_and_so_does_a_looser_one(team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    change = proposed(team, prompt)
    services.approve(team.actor("reviewer"), change)
    assert fresh(change).state == "approved"
    protect(team, approvals=2)
    assert (fresh(change).state, fresh(change).required_approvals) == ("open", 2)
    with pytest.raises(Conflict):
        services.merge(team.actor("editor"), change)
    protect(team, approvals=1)
    assert fresh(change).state == "approved"
    services.merge(team.actor("editor"), change)


def test_a_change_waits_for_the_hold_after_the_last_approval(team: Team) -> None:
    prompt = released(team).prompt
    protect(team, hold_seconds=3600)
    change = proposed(team, prompt)
    services.approve(team.actor("reviewer"), change)
    standing = standing_of(change)
    assert standing.codes == ["hold"]
    assert standing.hold_until is not None
    with pytest.raises(Conflict):
        services.merge(team.actor("editor"), change)
    protect(team, hold_seconds=3600, protected=False)
    assert (standing_of(change).codes, standing_of(change).hold_until) == ([], None)
    protect(team, hold_seconds=0)
    services.merge(team.actor("editor"), change)
    assert live(prompt) == 2


def test_checks_that_the_policy_names_must_pass(team: Team) -> None:
    content = {**said("Greet {{ name }}"), "variables": {"name": {"type": "string"}}}
    version = team.prompt(**content)
    move_label(team.actor("editor"), version.prompt, "production", version)
    protect(team, checks=["contract"])
    change = proposed(team, version.prompt, "Greet everybody")
    services.approve(team.actor("reviewer"), change)
    assert standing_of(change).codes == ["checks"]
    failed = [one for one in standing_of(change).checks if not one.passed]
    assert [(one.name, one.findings[0]["code"]) for one in failed] == [("contract", "variable_removed")]
    assert fresh(change).state == "approved"
    with pytest.raises(Conflict):
        services.merge(team.actor("editor"), change)


def test_an_owner_of_the_folder_has_to_approve(team: Team) -> None:
    prompt = released(team, folder="billing/mail").prompt
    protect(team, owners_required=True)
    services.set_code_owners(team.actor("admin"), team.project, "", [team.reviewer])
    services.set_code_owners(team.actor("admin"), team.project, "billing", [team.admin])
    change = proposed(team, prompt)
    services.approve(team.actor("reviewer"), change)
    assert standing_of(change).codes == ["owners"]
    services.approve(team.actor("admin"), change)
    services.merge(team.actor("editor"), change)
    assert live(prompt) == 2


def test_of_two_requests_for_the_same_place_the_second_becomes_outdated_and_is_rebased(team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    mine = proposed(team, prompt, "Greet {{ name }} warmly.")
    parameters = {**GREETING, "parameters": {"temperature": 0.9}}
    first = prompt.versions.get(number=1)
    version, _created = create_version(team.actor("editor"), prompt, parameters, parent=first)
    theirs = proposed(team, prompt, version=version, title="Hotter")
    merged(team, theirs)
    assert fresh(mine).state == "outdated"
    with pytest.raises(Conflict) as refused:
        services.merge(team.actor("editor"), mine)
    assert refused.value.code == "outdated"

    rebased = services.rebase(team.actor("editor"), mine)
    assert (rebased.state, rebased.replaces, rebased.candidate.parent) == ("open", version, version)
    content = rebased.candidate.content
    assert content["parameters"] == {"temperature": 0.9}
    assert content["messages"][1]["content"] == "Greet {{ name }} warmly."
    merged(team, rebased)
    assert live(prompt) == rebased.candidate.number


def test_a_conflict_is_told_and_settled_by_a_person(team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    mine = proposed(team, prompt, "mine")
    merged(team, proposed(team, prompt, "theirs"))
    with pytest.raises(services.MergeConflicts) as told:
        services.rebase(team.actor("editor"), mine)
    conflict = told.value.extra["conflicts"][0]
    assert (conflict["path"], conflict["ours"], conflict["theirs"]) == ("messages.1.content", "mine", "theirs")
    assert fresh(mine).state == "outdated"
    settled = services.rebase(team.actor("editor"), mine, resolved=said("both"))
    assert (settled.state, settled.candidate.content["messages"][1]["content"]) == ("open", "both")
    assert {settled.candidate.parent, settled.candidate.merge_parent} == {mine.candidate, settled.replaces}
    assert standing_of(settled).approvals == []
    with pytest.raises(Conflict) as refused:
        services.rebase(team.actor("editor"), settled)
    assert refused.value.code == "up_to_date"


def test_there_is_nothing_left_of_a_change_that_is_live_already(team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    mine = proposed(team, prompt, "mine")
    save(team, prompt, "in between")
    later = save(team, prompt, "mine")
    merged(team, proposed(team, prompt, version=later))
    with pytest.raises(Conflict) as refused:
        services.rebase(team.actor("editor"), mine)
    assert refused.value.code == "nothing_left"


def test_a_rolled_back_label_outdates_what_was_proposed(team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    merged(team, proposed(team, prompt, "second"))
    change = proposed(team, prompt, "third")
    services.approve(team.actor("reviewer"), change)
    rollback_label(team.actor("editor"), prompt, "production")
    assert fresh(change).state == "outdated"
    rollback_label(team.actor("editor"), prompt, "production", version=prompt.versions.get(number=2))
    assert fresh(change).state == "outdated"
    rebased = services.rebase(team.actor("editor"), change)
    assert (rebased.state, rebased.candidate.number, standing_of(rebased).approvals) == ("open", 3, [])


def test_a_draft_is_opened_for_review_later(team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    change = proposed(team, prompt, draft=True)
    with pytest.raises(Conflict) as refused:
        services.approve(team.actor("reviewer"), change)
    assert refused.value.code == "wrong_state"
    with pytest.raises(Conflict):
        services.merge(team.actor("editor"), change)
    opened = services.request_review(team.actor("editor"), change, reviewers=[team.reviewer])
    assert opened.state == "open"
    merged(team, opened)


def test_it_is_rejected_with_a_reason_and_opened_again_without_its_approvals(team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    change = proposed(team, prompt)
    services.approve(team.actor("reviewer"), change)
    with pytest.raises(Invalid):
        services.reject(team.actor("reviewer"), change, reason=" ")
    with pytest.raises(Forbidden):
        services.reject(team.actor("editor"), change, reason="no")
    rejected = services.reject(team.actor("reviewer"), change, reason="Not our tone")
    assert (rejected.state, rejected.closing_note, rejected.closed_by) == ("rejected", "Not our tone", team.reviewer)
    with pytest.raises(Conflict):
        services.merge(team.actor("editor"), change)
    opened = services.reopen(team.actor("editor"), change)
    assert (opened.state, standing_of(opened).approvals) == ("open", [])
    with pytest.raises(Forbidden):
        services.withdraw(team.actor("reviewer"), change)
    assert services.withdraw(team.actor("editor"), change).state == "withdrawn"


def test_only_the_owner_breaks_the_glass_and_says_why(team: Team) -> None:
    prompt = released(team).prompt
    protect(team, approvals=2)
    change = proposed(team, prompt)
    for role in ("editor", "reviewer", "admin"):
        with pytest.raises(Forbidden):
            services.break_glass(team.actor(role), change, reason="now")
    with pytest.raises(Invalid):
        services.break_glass(team.actor("owner"), change, reason="  ")
    move = services.break_glass(team.actor("owner"), change, reason="The live one leaks prices")
    assert (move.authority, move.reason, live(prompt)) == ("break_glass", "The live one leaks prices", 2)
    assert fresh(change).state == "merged"
    actions = set(events_of(team.project.pk).values_list("action", flat=True))
    assert {"label.glass_broken", "change.glass_broken"} <= actions
    taken_off = services.break_glass_label(team.actor("owner"), prompt, "production", None, reason="Switch it off")
    assert taken_off.to_version is None
    assert live(prompt) is None


def test_an_archived_prompt_merges_nothing_until_it_is_restored(team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    change = proposed(team, prompt)
    services.approve(team.actor("reviewer"), change)
    archive_prompt(team.actor("editor"), prompt)
    assert standing_of(fresh(change)).codes == ["archived"]
    with pytest.raises(Conflict) as refused:
        services.merge(team.actor("editor"), change)
    assert refused.value.code == "archived"
    restore_prompt(team.actor("editor"), prompt)
    services.merge(team.actor("editor"), change)
    assert live(prompt) == 2


def test_it_is_proposed_once_and_not_where_it_stands(team: Team) -> None:
    version = released(team)
    with pytest.raises(Conflict) as refused:
        proposed(team, version.prompt, version=version)
    assert refused.value.code == "already_live"
    change = proposed(team, version.prompt)
    with pytest.raises(Conflict) as refused:
        proposed(team, version.prompt, version=change.candidate)
    assert (refused.value.code, refused.value.extra["number"]) == ("already_proposed", 1)
    with pytest.raises(NotFound):
        services.propose(team.actor("editor"), version.prompt, version=team.prompt("other"))
    with pytest.raises(NotFound):
        services.propose(team.actor("outsider"), version.prompt, version=change.candidate)
    with pytest.raises(Forbidden):
        services.propose(team.actor("viewer"), version.prompt, version=change.candidate)
    for people in ([team.editor], [team.viewer], [team.outsider]):
        with pytest.raises(Invalid) as invalid:
            services.edit_request(team.actor("editor"), change, reviewers=people)
        assert list(invalid.value.errors) == ["reviewers"]
