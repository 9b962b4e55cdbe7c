"""What the templates show, put together from rows: folders as a tree, a prompt's line in the list, snippets of code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F, Q
from django.utils.translation import gettext as _

from promptops import templating
from promptops.prompts.forms import plain_json
from promptops.prompts.models import Draft, Label, LabelMove, Prompt, PromptVersion
from promptops.prompts.selectors import DEFAULT_LABEL, Activity

TAGS_SHOWN = 30


@dataclass(frozen=True)
class FolderNode:
    """A folder in the tree; ``count`` includes what lies below it."""

    path: str
    name: str
    count: int
    is_current: bool
    children: list[FolderNode] = field(default_factory=list)


def folder_tree(counts: Mapping[str, int], current: str) -> list[FolderNode]:
    """Return the top folders. Only the branch of the ``current`` one is unfolded, so that the tree stays short."""
    totals: Counter[str] = Counter()
    for folder, count in counts.items():
        parts = folder.split("/")
        for depth in range(1, len(parts) + 1):
            totals["/".join(parts[:depth])] += count
    return _children("", totals, current)


def _children(parent: str, totals: Mapping[str, int], current: str) -> list[FolderNode]:
    prefix = f"{parent}/" if parent else ""
    depth = prefix.count("/")
    paths = sorted(path for path in totals if path.startswith(prefix) and path.count("/") == depth)
    nodes = []
    for path in paths:
        is_open = current == path or current.startswith(f"{path}/")
        children = _children(path, totals, current) if is_open else []
        nodes.append(FolderNode(path, path[len(prefix) :], totals[path], current == path, children))
    return nodes


def frequent_tags(tag_lists: Iterable[Sequence[str]], current: str) -> list[tuple[str, int]]:
    """Return the most used tags with their counts, by name; the ``current`` one always."""
    counts = Counter(tag for tags in tag_lists for tag in tags)
    shown = dict(counts.most_common(TAGS_SHOWN))
    if current:
        shown.setdefault(current, counts[current])
    return sorted(shown.items())


def folders_above(folder: str) -> list[tuple[str, str]]:
    """Return (path, name) of a folder and all that it lies in, the top first: the way to it."""
    parts = folder.split("/") if folder else []
    return [("/".join(parts[: depth + 1]), name) for depth, name in enumerate(parts)]


@dataclass(frozen=True)
class VariableRow:
    """One variable in the contract of a version. One that is used and not declared has what its use tells."""

    name: str
    type: str
    is_declared: bool
    is_used: bool
    is_required: bool
    is_untrusted: bool
    default: str | None
    example: str | None
    description: str
    max_length: int | None


def variable_rows(content: Mapping[str, Any]) -> list[VariableRow]:
    """Return the variables of a content in the order in which the text uses them; unused ones come last."""
    declared: dict[str, Any] = content.get("variables", {})
    template = templating.template_of(content)
    variables = declared | templating.infer_contract(template)
    used = list(dict.fromkeys(use.name for use in templating.variables_of(template)))
    order = {name: place for place, name in enumerate(used)}
    return [
        VariableRow(
            name=name,
            type=variable.get("type", "string"),
            is_declared=name in declared,
            is_used=name in order,
            is_required=variable.get("required", True) and variable.get("default") is None,
            is_untrusted=variable.get("untrusted", False),
            default=_shown(variable.get("default")),
            example=_shown(variable.get("example")),
            description=variable.get("description", ""),
            max_length=variable.get("max_length"),
        )
        for name, variable in sorted(variables.items(), key=lambda item: order.get(item[0], len(order)))
    ]


def _shown(value: Any) -> str | None:
    return None if value is None else plain_json(value)


@dataclass(frozen=True)
class PromptRow:
    """One line of the list of prompts."""

    prompt: Prompt
    labels: Sequence[Label]
    activity: Activity

    @property
    def failed_percent(self) -> float | None:
        """Failed runs among all, in percent; None without runs."""
        return 100 * self.activity.failed / self.activity.runs if self.activity.runs else None


def heading_text(draft: Draft) -> str:
    """Return what to call a draft of a prompt that does not exist yet."""
    slug = str(draft.heading.get("slug") or "").strip()
    if slug:
        return slug[:100]
    messages = draft.content.get("messages")
    for message in messages if isinstance(messages, list) else []:
        text = message.get("content") if isinstance(message, dict) else None
        if isinstance(text, str) and text.strip():
            return text.strip()[:60]
    return _("Untitled prompt")


@dataclass(frozen=True)
class LabelRow:
    """A label with its last move, and where a roll-back would take it (None: nowhere)."""

    label: Label
    last: LabelMove | None
    rollback_to: PromptVersion | None


def label_rows(prompt: Prompt) -> list[LabelRow]:
    """Return every label that the prompt has or had, ``production`` first, in three queries."""
    moves = LabelMove.objects.filter(label__prompt=prompt).select_related("to_version")
    newest = moves.order_by("label_id", "-at", "-id").distinct("label_id")
    elsewhere = Q(label__version=None) | ~Q(to_version=F("label__version"))
    last = {move.label_id: move for move in newest}
    earlier = {move.label_id: move.to_version for move in newest.filter(elsewhere, to_version__isnull=False)}
    labels = Label.objects.filter(prompt=prompt).select_related("version", "prompt")
    return [
        LabelRow(label, last.get(label.pk), earlier.get(label.pk))
        for label in sorted(labels, key=lambda one: label_order(one.name))
    ]


def label_order(name: str) -> tuple[bool, str]:
    """``production`` first, then by name."""
    return (name != DEFAULT_LABEL, name)
