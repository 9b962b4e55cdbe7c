"""Playing the stories of the demo through the services, as its people."""

from __future__ import annotations

from django.db import transaction

from promptops.accounts import services as accounts
from promptops.accounts.actors import SYSTEM, Actor, user_actor
from promptops.accounts.models import Membership, Project, Role, User
from promptops.accounts.querysets import members_of
from promptops.catalog.services import ensure_local_endpoint
from promptops.management.demo.prompts import PROMPTS
from promptops.management.demo.story import DemoPrompt, Move, Propose, Protect, RollBack, Save, Step, Try, TryBatch
from promptops.prompts import services as prompts
from promptops.prompts.models import Prompt
from promptops.prompts.querysets import labels_of, prompts_of, versions_of
from promptops.reviews import services as reviews
from promptops.reviews.selectors import is_protected
from promptops.runs.models import Priority
from promptops.runs.services import RunRequest, start_batch, start_runs, version_target

SLUG = "demo"
NAME = "Demo"
DESCRIPTION = (
    "Three prompts with their history, run on the model that works inside this installation. Begin with the versions "
    "of “sentiment-label”: each says why it was made, and its runs show whether that helped."
)
BROUGHT_BACK = "Brought back to where the demo has it."
METADATA = {"origin": "demo"}

Actors = dict[Role, Actor]


@transaction.atomic
def make_demo() -> Project:
    """Make the demo project, or bring back what of an existing one was changed; return it.

    Brought back are members, archived or missing prompts, and labels. What people added stays, and no run is repeated.
    """
    people = {role: _person(role) for role in Role}
    project = Project.objects.filter(slug=SLUG).first()
    if project is None:
        owner = user_actor(people[Role.OWNER])
        project = accounts.create_project(owner, name=NAME, slug=SLUG, description=DESCRIPTION)
    for role, person in people.items():
        _bring_in(project, person, role)
    actors = {role: user_actor(person) for role, person in people.items()}
    present = {prompt.slug: prompt for prompt in prompts_of(project, archived=None)}
    for story in PROMPTS:
        if story.slug in present:
            _bring_back(present[story.slug], story)
        else:
            _play(project, story, actors)
    return project


@transaction.atomic
def set_aside() -> Project | None:
    """Give the present demo project another name, so that a new one can be made; None where there is none."""
    project = Project.objects.select_for_update().filter(slug=SLUG).first()
    if project is None:
        return None
    taken = set(Project.objects.filter(slug__startswith=f"{SLUG}-").values_list("slug", flat=True))
    number = next(number for number in range(1, len(taken) + 2) if f"{SLUG}-{number}" not in taken)
    return accounts.update_project(
        SYSTEM,
        project,
        name=f"{NAME} {number}",
        slug=f"{SLUG}-{number}",
        description=project.description,
        keeps_old_slug=False,  # the new demo project takes it
    )


def _person(role: Role) -> User:
    """An obviously invented somebody. They come in by a sign-in link; none has a password."""
    email = f"{role.value}@demo.example"
    known = User.objects.filter(email__iexact=email).first()
    return known or accounts.create_user(email=email, name=f"Demo {role.value.title()}")


def _bring_in(project: Project, person: User, role: Role) -> None:
    membership: Membership | None = members_of(project).filter(user=person).first()
    if membership is None and role != Role.OWNER:
        accounts.add_member(SYSTEM, project, person, role=role)
    elif membership is not None and Role.OWNER not in (role, membership.role) and membership.role != role:
        accounts.change_role(SYSTEM, membership, role=role)


def _bring_back(prompt: Prompt, story: DemoPrompt) -> None:
    if prompt.archived_at is not None:
        prompt = prompts.restore_prompt(SYSTEM, prompt)
    standing = {label.name: label.version for label in labels_of(prompt)}
    for label, number in story.standing.items():
        now = standing.get(label)
        if now is None or now.number != number:
            version = versions_of(prompt).get(number=number)
            # Where the label is protected it can still go back to where it was.
            move = prompts.rollback_label if is_protected(prompt, label) else prompts.move_label
            move(SYSTEM, prompt, label, version=version, reason=BROUGHT_BACK)


def _play(project: Project, story: DemoPrompt, actors: Actors) -> None:
    prompt: Prompt | None = None
    for step in story.steps:
        if prompt is not None:
            _take(project, prompt, step, actors)
            continue
        assert isinstance(step, Save)  # noqa: S101 (a story begins with a version)
        first = prompts.create_prompt(
            actors[step.by],
            project,
            step.content,
            slug=story.slug,
            folder=story.folder,
            description=story.description,
            tags=list(story.tags),
            message=step.message,
        )
        prompt = first.prompt


def _take(project: Project, prompt: Prompt, step: Step, actors: Actors) -> None:
    actor = actors[step.by]
    match step:
        case Save():
            prompts.create_version(actor, prompt, step.content, message=step.message)
        case Move():
            version = versions_of(prompt).get(number=step.version)
            prompts.move_label(actor, prompt, step.label, version, reason=step.reason)
        case RollBack():
            prompts.rollback_label(actor, prompt, step.label, reason=step.reason)
        case Try() | TryBatch():
            _run(project, prompt, step, actor)
        case Protect():
            reviews.set_label_policy(actor, project, step.label, prompt=prompt, required_approvals=step.approvals)
        case Propose():
            _propose(prompt, step, actors)


def _propose(prompt: Prompt, step: Propose, actors: Actors) -> None:
    reviewers = [actors[role] for role in step.reviewers]
    change = reviews.propose(
        actors[step.by],
        prompt,
        version=versions_of(prompt).get(number=step.version),
        label=step.label,
        title=step.title,
        description=step.description,
        reviewers=[one.user for one in reviewers if one.user is not None],
    )
    reviews.comment(reviewers[0], change, body=step.remark)


def _run(project: Project, prompt: Prompt, step: Try | TryBatch, actor: Actor) -> None:
    """Queue runs on the embedded model; the worker executes them once it is up, after what anybody else asks for."""
    asked = {"label": step.of} if isinstance(step.of, str) else {"version": step.of}
    target = version_target(project, prompt.slug, **asked)
    endpoint = ensure_local_endpoint(project)
    requests = [RunRequest(variables, METADATA) for variables in step.inputs]
    if isinstance(step, TryBatch):
        start_batch(actor, target, endpoint, requests)
    else:
        start_runs(actor, target, endpoint, requests, priority=Priority.BACKFILL)
