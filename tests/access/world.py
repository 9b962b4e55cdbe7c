"""One of everything in a project, and in another one: what the access tests point their requests at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from promptops.accounts.actors import SYSTEM, user_actor
from promptops.accounts.models import ApiToken, Invitation, Membership, Project, User
from promptops.accounts.services import add_member, create_invitation, create_user
from promptops.accounts.tokens import create_token
from promptops.catalog.models import Credential, Endpoint
from promptops.catalog.services import create_credential, create_endpoint
from promptops.notifications.models import Delivery, Notification, Webhook
from promptops.notifications.services import create_webhook, notify
from promptops.prompts.models import Draft, PromptVersion
from promptops.prompts.services import create_prompt, create_version, move_label, open_draft, save_draft
from promptops.reviews.models import ChangeRequest, LabelPolicy, ReviewComment
from promptops.reviews.services import comment, propose, set_label_policy
from promptops.runs.models import Batch, Run
from promptops.runs.services import RunRequest, start_batch, start_run, version_target
from tests.people import GREETING, Team

ROLES = ("viewer", "editor", "reviewer", "admin", "owner")


@dataclass(frozen=True)
class World:
    """What a project holds. ``spare`` is a member whom nobody misses."""

    project: Project
    owner: User
    version: PromptVersion
    credential: Credential
    endpoint: Endpoint
    run: Run
    batch: Batch
    token: ApiToken
    invitation: Invitation
    spare: Membership
    draft: Draft
    webhook: Webhook
    delivery: Delivery
    notification: Notification
    change: ChangeRequest
    comment: ReviewComment
    policy: LabelPolicy

    def names(self) -> dict[str, Any]:
        """What the placeholders of routes are filled with."""
        return {
            "project_slug": self.project.slug,
            "slug": self.version.prompt.slug,
            "number": 1,
            "label": "production",
            "run_id": self.run.pk,
            "batch_id": self.batch.pk,
            "credential_id": self.credential.pk,
            "endpoint": self.endpoint.slug,
            "token_id": self.token.pk,
            "invitation_id": self.invitation.pk,
            "member_id": self.spare.pk,
            "draft_id": self.draft.pk,
            "change": self.change.number,
            "comment_id": self.comment.pk,
            "policy_id": self.policy.pk,
            "webhook_id": self.webhook.pk,
            "delivery_id": self.delivery.pk,
            "notification_id": self.notification.pk,
        }


def furnish(project: Project, owner: User, *, prefix: str = "own") -> World:
    """Fill a project through the services that the product uses. Names begin with ``prefix``."""
    actor = user_actor(owner)
    webhook, _secret = create_webhook(actor, project, url="http://hooks.invalid/", events=["prompt.created"])
    Webhook.objects.filter(pk=webhook.pk).update(url="http://127.0.0.1:9/")  # refused at once, asking no name server
    version = create_prompt(actor, project, GREETING, slug=f"{prefix}-prompt")
    prompt = version.prompt
    second = {**GREETING, "messages": [{"role": "user", "content": "Greet {{ name }}."}]}
    create_version(actor, prompt, second)
    prompt.refresh_from_db()
    move_label(actor, prompt, "production", version)
    move_label(actor, prompt, "staging", version)
    credential = create_credential(actor, project, name=f"{prefix} key", provider="openai", api_key="sk-0123456789")
    endpoint = create_endpoint(
        actor, project, slug=f"{prefix}-endpoint", name="Scripted", provider="scripted", model_name="scripted-model"
    )
    target = version_target(project, prompt.slug, version=1)
    run = start_run(actor, target, endpoint, variables={"name": "Ada"})
    batch = start_batch(actor, target, endpoint, [RunRequest({"name": "Ada"})])
    token, _secret = create_token(actor, project, name="spare", role="viewer")
    invitation, _secret = create_invitation(actor, project, role="viewer")
    spare = create_user(email=f"spare@{project.slug}.example", name="Spare")
    membership = add_member(SYSTEM, project, spare, role="viewer")
    draft = open_draft(actor, prompt)
    draft = save_draft(actor, draft, revision=0, content=second)
    delivery = Delivery.objects.get(webhook=webhook)
    params: dict[str, str | int] = {"label": "production", "prompt": prompt.slug, "version": 1}
    with transaction.atomic():
        notify(project, [owner], "label.moved", params=params, url=f"/p/{project.slug}/prompts/", actor=SYSTEM)
    notification = Notification.objects.get(project=project, user=owner)
    change, remark, policy = _propose(project, owner, prefix)
    return World(
        project,
        owner,
        version,
        credential,
        endpoint,
        run,
        batch,
        token,
        invitation,
        membership,
        draft,
        webhook,
        delivery,
        notification,
        change,
        remark,
        policy,
    )


def _propose(project: Project, owner: User, prefix: str) -> tuple[ChangeRequest, ReviewComment, LabelPolicy]:
    """A change request by an editor, with a suggestion. Numbers count in a project: elsewhere it is another one."""
    writer = create_user(email=f"writer@{project.slug}.example", name="Writer")
    add_member(SYSTEM, project, writer, role="editor")
    author = user_actor(writer)
    first = create_prompt(author, project, GREETING, slug=f"{prefix}-proposed")
    text = {**GREETING, "messages": [{"role": "user", "content": "Greet {{ name }} twice."}]}
    create_version(author, first.prompt, text)
    if prefix != "own":
        propose(author, first.prompt, version=first, label="canary")
    change = propose(author, first.prompt, version=first, title="Proposed")
    remark = comment(
        user_actor(owner), change, body="Politer?", message_index=1, line=1, suggestion="Greet {{ name }}!"
    )
    return change, remark, set_label_policy(user_actor(owner), project, "guarded")


def furnish_team(team: Team) -> World:
    return furnish(team.project, team.owner)


def furnish_elsewhere(team: Team) -> World:
    return furnish(team.elsewhere, team.outsider, prefix="foreign")
