"""Change requests and policies as JSON, for REST and whoever else tells of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from promptops.accounts.models import User
from promptops.reviews.models import ChangeRequest, CodeOwners, LabelPolicy, ReviewComment, Verdict
from promptops.reviews.querysets import verdicts_of
from promptops.reviews.selectors import is_outdated, standing_of


def person_json(person: User) -> dict[str, Any]:
    return {"id": person.pk, "name": person.name}


def change_json(change: ChangeRequest) -> dict[str, Any]:
    return {
        "number": change.number,
        "prompt": change.prompt.slug,
        "label": change.label,
        "candidate": change.candidate.number,
        "candidate_sha256": change.candidate.closure_sha256,
        "replaces": change.replaces.number if change.replaces else None,
        "title": change.title,
        "description": change.description,
        "state": change.state,
        "author": person_json(change.author),
        "reviewers": [person_json(person) for person in change.reviewers.all()],
        "created_at": change.created_at,
        "updated_at": change.updated_at,
        "closed_at": change.closed_at,
        "closing_note": change.closing_note,
    }


def change_detail_json(change: ChangeRequest) -> dict[str, Any]:
    """A change request, and where it stands at this moment."""
    standing = standing_of(change)
    return {
        **change_json(change),
        "required_approvals": standing.required_approvals,
        "approvals": len(standing.approvals),
        "hold_until": standing.hold_until,
        "blockers": [{"code": one.code, "text": one.text} for one in standing.blockers],
        "in_effect": [
            {
                "reviewer": person_json(one.reviewer),
                "verdict": one.kind,
                "counts": one.counts,
                "is_owner": one.is_owner,
                "at": one.at,
            }
            for one in standing.verdicts
        ],
        "verdicts": [verdict_json(one) for one in verdicts_of(change)],
        "checks": [
            {
                "name": one.name,
                "passed": one.passed,
                "required": one.name in standing.required_checks,
                "findings": one.findings,
                "at": one.at,
            }
            for one in standing.checks
        ],
    }


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "reviewer": person_json(verdict.reviewer),
        "verdict": verdict.kind,
        "candidate": verdict.version.number,
        "sha256": verdict.closure_sha256,
        "body": verdict.body,
        "by": verdict.actor_name,
        "at": verdict.at,
    }


def comment_json(comment: ReviewComment, change: ChangeRequest) -> dict[str, Any]:
    return {
        "id": comment.pk,
        "thread": comment.thread_id,
        "version": comment.version.number,
        "message_index": comment.message_index,
        "line": comment.line,
        "side": comment.side,
        "body": comment.body,
        "suggestion": comment.suggestion,
        "applied_in": comment.applied_in.number if comment.applied_in else None,
        "outdated": is_outdated(comment, change),
        "by": comment.author_name,
        "at": comment.at,
        "resolved_at": comment.resolved_at,
        "resolved_by": comment.resolved_by_name,
    }


def policy_json(policy: LabelPolicy) -> dict[str, Any]:
    return {
        "id": policy.pk,
        "label": policy.label,
        "folder": policy.folder,
        "prompt": policy.prompt.slug if policy.prompt else None,
        "protected": policy.protected,
        "required_approvals": policy.required_approvals,
        "owners_required": policy.owners_required,
        "checks": policy.checks,
        "hold_seconds": policy.hold_seconds,
        "set_by": policy.actor_name,
        "set_at": policy.at,
    }


def owners_json(rows: Iterable[CodeOwners]) -> list[dict[str, Any]]:
    rows = list(rows)
    people = User.objects.in_bulk({pk for row in rows for pk in row.people})
    return [
        {
            "folder": row.folder,
            "people": [person_json(people[pk]) for pk in row.people],
            "set_by": row.actor_name,
            "set_at": row.at,
        }
        for row in rows
    ]
