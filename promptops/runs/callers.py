"""Who calls a prompt: the tokens by which it, or something that includes it, was run lately."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Max
from django.utils import timezone

from promptops.accounts.models import ApiToken, Project
from promptops.accounts.querysets import tokens_of
from promptops.core.ids import first_uuid7_at
from promptops.prompts.models import Prompt
from promptops.runs.models import Run

DAYS = 7
RUNS_LOOKED_AT = 10_000
"""The newest ones: enough to know who calls, and an answer in milliseconds also for the busiest prompt."""
MOST_SHOWN = 10


@dataclass(frozen=True)
class TokenUse:
    """A token, how many of the runs looked at it started, and when the last one."""

    token: ApiToken
    runs: int
    last: dt.datetime


def callers_of(project: Project, prompts: Iterable[Prompt]) -> list[TokenUse]:
    """Return the tokens that ran any of the prompts in the last ``DAYS``, the busiest first."""
    since = first_uuid7_at(timezone.now() - dt.timedelta(days=DAYS))
    ids = [prompt.pk for prompt in prompts]
    newest = Run.objects.filter(project=project, prompt__in=ids, id__gte=since).order_by("-id")[:RUNS_LOOKED_AT]
    by_token = (
        Run.objects.filter(id__in=newest.values("id"), id__gte=since, token_id__isnull=False)
        .values("token_id")
        .annotate(total=Count("id"), last=Max("created_at"))
        .order_by("-total", "token_id")[:MOST_SHOWN]
    )
    uses = {row["token_id"]: (row["total"], row["last"]) for row in by_token}
    tokens = {token.pk: token for token in tokens_of(project).filter(pk__in=[pk for pk in uses if pk is not None])}
    return [TokenUse(tokens[pk], *use) for pk, use in uses.items() if pk in tokens]
