"""What is affected if I edit this: the versions that include a prompt, directly or through others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import F

from promptops.accounts.models import Project
from promptops.prompts.models import Label, Prompt, PromptDependency, PromptVersion
from promptops.prompts.selectors import Activity, activity_of, live_labels
from promptops.templating.sandbox.limits import MAX_INCLUDE_DEPTH

MOST_OFFERED = 200

# Includes by a label reach a version only while the label stands at it.
_ABOVE = """
WITH RECURSIVE above (version_id, depth) AS (
    SELECT d.version_id, 1 FROM prompts_promptdependency d
     WHERE d.included_id = %(prompt)s AND (%(label)s::text IS NULL OR d.label = %(label)s)
    UNION
    SELECT d.version_id, above.depth + 1
      FROM above
      JOIN prompts_promptversion v ON v.id = above.version_id
      JOIN prompts_promptdependency d ON d.included_id = v.prompt_id AND (
           d.included_version_id = v.id OR EXISTS (
               SELECT FROM prompts_label l
                WHERE l.prompt_id = v.prompt_id AND l.name = d.label AND l.version_id = v.id))
     WHERE above.depth < %(most)s
)
SELECT v.id, min(above.depth)
  FROM above JOIN prompts_promptversion v ON v.id = above.version_id JOIN prompts_prompt p ON p.id = v.prompt_id
 WHERE p.archived_at IS NULL AND (
       EXISTS (SELECT FROM prompts_label l WHERE l.version_id = v.id) OR (%(newest)s AND v.number = p.last_number))
 GROUP BY v.id, p.slug, v.number
 ORDER BY min(above.depth), p.slug, v.number
"""


@dataclass(frozen=True)
class Dependent:
    """A version that includes a prompt, and is the newest of its own or stands under ``labels``.

    ``references`` are the includes by which it does so itself, such as ``greeting@production``; without any it does so
    through others, ``depth`` steps away. ``activity`` is of its prompt, in the last days.
    """

    version: PromptVersion
    labels: Sequence[str]
    references: Sequence[str]
    depth: int
    activity: Activity

    @property
    def is_newest(self) -> bool:
        return self.version.number == self.version.prompt.last_number


def dependents_of(prompt: Prompt, *, label: str | None = None) -> list[Dependent]:
    """Return what includes a prompt (only by a label, where one is given): versions of living prompts that stand under
    a label or are the newest. Those that include it themselves come first.
    """
    depths = _above(prompt, label, newest=True)
    versions = _versions(depths)
    labels = _labels(depths)
    references: dict[int, list[str]] = {}
    rows = PromptDependency.objects.filter(version__in=depths, included=prompt).select_related("included_version")
    for row in rows.order_by("order"):
        number = row.included_version.number if row.included_version else None
        references.setdefault(row.version_id, []).append(f"{prompt.slug}@{row.label or number}")
    activity = activity_of([version.prompt_id for version in versions.values()])
    return [
        Dependent(
            version=versions[pk],
            labels=labels.get(pk, []),
            references=references.get(pk, []),
            depth=depth,
            activity=activity.get(versions[pk].prompt_id, Activity()),
        )
        for pk, depth in depths.items()
    ]


def includable_prompts(project: Project, *, kind: str, syntax: str, but: str) -> list[tuple[str, int]]:
    """Return the names by which living prompts of a kind and syntax can be included, each with the version it means:
    their labels, and their newest version. ``but`` is a slug to be left out. At most ``MOST_OFFERED`` prompts.
    """
    newest = PromptVersion.objects.filter(
        prompt__project=project, prompt__archived_at=None, prompt__kind=kind, number=F("prompt__last_number")
    )
    fitting = newest.filter(spec__content__syntax=syntax).exclude(prompt__slug=but).select_related("prompt")
    heads = list(fitting.order_by("prompt__slug")[:MOST_OFFERED])
    labels = live_labels([head.prompt_id for head in heads])
    names: list[tuple[str, int]] = []
    for head in heads:
        slug = head.prompt.slug
        standing = labels.get(head.prompt_id, [])
        names += [(f"{slug}@{label.name}", label.version.number) for label in standing if label.version is not None]
        names.append((f"{slug}@{head.number}", head.number))
    return names


def live_dependents(prompt: Prompt, *, label: str | None = None) -> list[tuple[PromptVersion, list[str]]]:
    """Return the versions that include a prompt (by a label) and stand under labels, with those labels."""
    depths = _above(prompt, label, newest=False)
    versions, labels = _versions(depths), _labels(depths)
    return [(versions[pk], labels[pk]) for pk in depths]


def _above(prompt: Prompt, label: str | None, *, newest: bool) -> dict[int, int]:
    """The versions above by primary key, each with how far away it is."""
    asked = {"prompt": prompt.pk, "label": label, "most": MAX_INCLUDE_DEPTH, "newest": newest}
    with connection.cursor() as cursor:
        cursor.execute(_ABOVE, asked)
        return dict(cursor.fetchall())


def _versions(depths: dict[int, int]) -> dict[int, PromptVersion]:
    return PromptVersion.objects.select_related("spec", "prompt__project").in_bulk(list(depths))


def _labels(depths: dict[int, int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for label in Label.objects.filter(version__in=depths).order_by("name"):
        if label.version_id is not None:
            found.setdefault(label.version_id, []).append(label.name)
    return found
