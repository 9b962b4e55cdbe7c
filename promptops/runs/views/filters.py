"""What the address of a list of runs asks for. Nonsense in it is ignored, so that an edited link still shows a list."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

from django.db.models import BigIntegerField, DecimalField, F, Field, QuerySet, Value
from django.db.models.functions import Coalesce
from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext_lazy as _

from promptops.accounts.models import Project
from promptops.accounts.querysets import members_of, tokens_of
from promptops.catalog.querysets import endpoints_of
from promptops.prompts.models import Label
from promptops.prompts.querysets import prompts_of
from promptops.runs.models import Run, Status
from promptops.runs.selectors import RunQuestion, find_runs

PERIODS = {
    "1h": (_("last hour"), dt.timedelta(hours=1)),
    "24h": (_("last 24 hours"), dt.timedelta(hours=24)),
    "7d": (_("last 7 days"), dt.timedelta(days=7)),
    "30d": (_("last 30 days"), dt.timedelta(days=30)),
}
STATUSES = {
    "active": (_("queued or running"), (Status.QUEUED, Status.RUNNING)),
    **{status.value: (status.label, (status,)) for status in Status},
}
SORTS = {"began": "id", "time": "latency_ms", "tokens": "output_tokens", "cost": "cost_usd"}
NUMBERS: dict[str, Field[Any, Any]] = {
    "latency_ms": BigIntegerField(),
    "output_tokens": BigIntegerField(),
    "cost_usd": DecimalField(max_digits=20, decimal_places=10),
}
DEFAULT_SORT = "-began"
DRAFTS = "draft"
PROMPTS_OFFERED = 500
MAX_NUMBER = 2**31 - 1


@dataclass(frozen=True)
class Filters:
    """The filters as typed, for the form, and as a question."""

    q: str = ""
    status: str = ""
    prompt: str = ""
    version: str = ""
    endpoint: str = ""
    label: str = ""
    who: str = ""
    period: str = ""
    since: str = ""
    until: str = ""
    batch: str = ""
    sort: str = DEFAULT_SORT
    cursor: str = ""

    @property
    def more(self) -> int:
        """How many of those are in use that stand behind “More filters”."""
        return sum(bool(value) for value in (self.version, self.label, self.who, self.since, self.until))

    @property
    def any(self) -> bool:
        return bool(self.more or self.q or self.status or self.prompt or self.endpoint or self.period)

    def question(self) -> RunQuestion:
        since = _moment(self.since, end_of_day=False)
        if self.period:
            started = timezone.now() - PERIODS[self.period][1]
            since = max(since, started) if since else started
        return RunQuestion(
            status=STATUSES[self.status][1] if self.status else (),
            prompt=self.prompt,
            version=0 if self.version == DRAFTS else int(self.version) if self.version else None,
            endpoint=self.endpoint,
            label=self.label,
            who=self.who,
            since=since,
            until=_moment(self.until, end_of_day=True),
            id_text=self.q,
            batch=uuid.UUID(self.batch) if self.batch else None,
        )

    def runs(self, project: Project) -> QuerySet[Run]:
        """The runs that fit, in the order asked for; ``order`` names the columns for paging."""
        runs = find_runs(project, self.question())
        column = SORTS[self.sort.lstrip("-")]
        if column != "id":
            # An unknown number counts as less than none: keys of pages need values.
            runs = runs.annotate(sort_key=Coalesce(F(column), Value(-1), output_field=NUMBERS[column]))
        return runs.order_by(*self.order)

    @property
    def order(self) -> list[str]:
        sign = "-" if self.sort.startswith("-") else ""
        column = SORTS[self.sort.lstrip("-")]
        return [f"{sign}id"] if column == "id" else [f"{sign}sort_key", f"{sign}id"]


def filters_of(given: QueryDict) -> Filters:
    """Read the filters from a query."""

    def text(name: str, length: int = 100) -> str:
        return given.get(name, "").replace("\x00", "").strip()[:length]

    version, sort, who = text("version"), text("sort"), text("who")
    number = version.isdecimal() and 0 < int(version[:12]) <= MAX_NUMBER
    kind, _colon, key = who.partition(":")
    return Filters(
        q=text("q"),
        status=text("status") if text("status") in STATUSES else "",
        prompt=text("prompt"),
        version=version if version == DRAFTS or number else "",
        endpoint=text("endpoint"),
        label=text("label"),
        who=who if kind in ("user", "token") and key.isdecimal() else "",
        period=text("period") if text("period") in PERIODS else "",
        since=text("since") if _moment(text("since"), end_of_day=False) else "",
        until=text("until") if _moment(text("until"), end_of_day=True) else "",
        batch=text("batch") if _is_uuid(text("batch")) else "",
        sort=sort if sort.lstrip("-") in SORTS else DEFAULT_SORT,
        cursor=given.get("cursor", ""),
    )


def choices_for(project: Project) -> dict[str, Any]:
    """What the filters offer in this project."""
    labels = Label.objects.filter(project=project).values_list("name", flat=True).order_by("name").distinct()
    people = [(f"user:{member.user_id}", member.user.name) for member in members_of(project)]
    tokens = [(f"token:{token.pk}", token.name) for token in tokens_of(project)]
    slugs = prompts_of(project, archived=None).order_by("slug").values_list("slug", flat=True)
    return {
        "statuses": [(name, label) for name, (label, _statuses) in STATUSES.items()],
        "periods": [(name, label) for name, (label, _length) in PERIODS.items()],
        "endpoints": list(endpoints_of(project, archived=None).values_list("slug", "name")),
        "prompt_slugs": list(slugs[:PROMPTS_OFFERED]),
        "labels": list(labels),
        "people": people,
        "tokens": tokens,
    }


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _moment(text: str, *, end_of_day: bool) -> dt.datetime | None:
    """A day or a time, UTC where no zone is given; a day as an end is meant with all of its hours."""
    try:
        day = parse_date(text)
        moment = parse_datetime(text)
    except ValueError:
        return None
    if day is not None and len(text) <= len("2026-01-31"):
        at = dt.datetime.combine(day, dt.time.min, tzinfo=dt.UTC)
        return at + dt.timedelta(days=1) if end_of_day and day != dt.date.max else at
    if moment is None:
        return None
    return moment.replace(tzinfo=dt.UTC) if timezone.is_naive(moment) else moment
