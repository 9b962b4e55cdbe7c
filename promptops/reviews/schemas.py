"""The JSON shapes of change requests and review policies. Shape only; the services know what is allowed."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from ninja import Field, Schema

from promptops.core.rest import Given, JsonObject, Paging
from promptops.reviews.models import MAX_APPROVALS

State = Literal["draft", "open", "changes_requested", "approved", "outdated", "merged", "rejected", "withdrawn"]


class ChangeGiven(Given):
    prompt: str = Field(examples=["support-reply"])
    version: int = Field(description="The version that shall stand under the label.", examples=[4])
    label: str = "production"
    title: str = Field("", description="The version's message, where it is left out.", examples=["Shorter answers"])
    description: str = ""
    reviewers: list[int] = Field(default_factory=list, description="Ids of members whose review is asked for.")
    draft: bool = Field(False, description="Whether reviews are asked for later.")


class ChangeChange(Given):
    """What is left out stays as it is. `state: open` asks for reviews of a draft, and opens a closed request again."""

    title: str | None = None
    description: str | None = None
    reviewers: list[int] | None = None
    state: Literal["open"] | None = None


class CandidateGiven(Given):
    version: int = Field(description="The version that shall be proposed instead; approvals do not follow it.")


class VerdictGiven(Given):
    verdict: Literal["approve", "request_changes"]
    body: str = Field("", description="Why; needed in order to request changes.")
    expected: int | None = Field(
        None, description="The version that was looked at; when another one is proposed now, nothing happens (409)."
    )


class CommentGiven(Given):
    body: str = ""
    message_index: int | None = Field(None, ge=0, lt=2**31, description="The message, from 0; left out: the whole.")
    line: int | None = Field(None, ge=1, lt=2**31, description="The line of its text, from 1.")
    side: Literal["old", "new"] = Field("new", description="In the candidate, or in what it replaces.")
    suggestion: str | None = Field(None, description="Text that shall stand in place of the line.")
    reply_to: int | None = Field(None, description="A comment of the thread.")


class ReasonGiven(Given):
    reason: str = ""


class RebaseGiven(Given):
    content: JsonObject | None = Field(
        None, description="The whole content of a version, where conflicts were settled (see 409 `merge_conflicts`)."
    )


class ChangeFilters(Paging):
    prompt: str | None = Field(None, description="Slug.")
    label: str = Field("", max_length=60)
    state: list[State] = Field(default_factory=list)
    author: int | None = Field(None, ge=1, lt=2**63, description="Id of a member.")
    reviewer: int | None = Field(None, ge=1, lt=2**63, description="Id of a member whose review was asked for.")


class Person(Schema):
    id: int
    name: str


class Change(Schema):
    number: int = Field(examples=[12])
    prompt: str = Field(examples=["support-reply"])
    label: str = Field(examples=["production"])
    candidate: int = Field(description="The proposed version.")
    candidate_sha256: str = Field(description="The closure hash that approvals are bound to.")
    replaces: int | None = Field(description="The version in whose place it shall stand; null: none stood there.")
    title: str
    description: str
    state: State
    author: Person
    reviewers: list[Person] = Field(description="Whose review was asked for.")
    created_at: dt.datetime
    updated_at: dt.datetime
    closed_at: dt.datetime | None
    closing_note: str


class Verdict(Schema):
    reviewer: Person
    verdict: str = Field(description="approve, request_changes, or dismiss: the one before counts no more.")
    candidate: int
    sha256: str
    body: str
    by: str
    at: dt.datetime


class VerdictInEffect(Schema):
    reviewer: Person
    verdict: str
    counts: bool = Field(description="Whether that person may review it now.")
    is_owner: bool = Field(description="Whether they answer for the prompt's folder.")
    at: dt.datetime


class Blocker(Schema):
    code: str = Field(
        description="draft, closed, outdated, archived, changes_requested, approvals, owners, checks, includes or hold."
    )
    text: str


class CheckResult(Schema):
    name: str = Field(examples=["contract"])
    passed: bool
    required: bool = Field(description="Whether the policy in force wants it passed.")
    findings: list[JsonObject]
    at: dt.datetime


class ChangeDetail(Change):
    """A change request, and where it stands at this moment."""

    required_approvals: int = Field(description="0 where the label is not protected.")
    approvals: int = Field(description="How many count.")
    hold_until: dt.datetime | None
    blockers: list[Blocker] = Field(description="What is in the way of a merge; empty when nothing is.")
    in_effect: list[VerdictInEffect]
    verdicts: list[Verdict] = Field(description="All that were given, oldest first.")
    checks: list[CheckResult]


class Comment(Schema):
    id: int
    thread: int | None = Field(description="The first comment of the thread; null in that one.")
    version: int = Field(description="The version that it is on.")
    message_index: int | None
    line: int | None
    side: Literal["old", "new"]
    body: str
    suggestion: str | None
    applied_in: int | None = Field(description="The version that the suggestion became.")
    outdated: bool = Field(description="Whether the text was changed since.")
    by: str
    at: dt.datetime
    resolved_at: dt.datetime | None
    resolved_by: str


class PolicyGiven(Given):
    """What moving a label needs. Without folder and prompt: in the whole project."""

    label: str = Field("production", examples=["production"])
    folder: str = Field("", description="For the prompts in this folder and below it.")
    prompt: str | None = Field(None, description="For this prompt alone (slug).")
    protected: bool = Field(True, description="False: it is free here, although a wider policy protects it.")
    required_approvals: int = Field(1, ge=1, le=MAX_APPROVALS)
    owners_required: bool = Field(False, description="Whether an owner of the folder must be among them.")
    checks: list[str] = Field(default_factory=list, description="Checks that must pass.", examples=[["contract"]])
    hold_seconds: int = Field(0, ge=0, lt=2**31, description="Seconds between the last approval and the merge.")


class PolicyPlace(Schema):
    label: str = Field("production", max_length=60)
    folder: str = Field("", max_length=200)
    prompt: str | None = None


class Policy(Schema):
    id: int
    label: str
    folder: str
    prompt: str | None
    protected: bool
    required_approvals: int
    owners_required: bool
    checks: list[str]
    hold_seconds: int
    set_by: str
    set_at: dt.datetime


class OwnersGiven(Given):
    folder: str = Field("", description="Left out: the whole project.", examples=["billing"])
    people: list[int] = Field(description="Ids of members; none: those of the folder around it answer again.")


class Owners(Schema):
    folder: str
    people: list[Person]
    set_by: str
    set_at: dt.datetime


class Merged(Schema):
    label: str
    version: int | None
    change: Change
