"""What the templates show, put together from rows: folders as a tree, a prompt's line in the list, snippets of code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

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


@dataclass(frozen=True)
class PromptRow:
    """One line of the list of prompts."""

    prompt: Prompt
    labels: Sequence[Label]
    activity: Activity

    @property
    def failed_share(self) -> float | None:
        """Failed runs among all, 0 to 1; None without runs."""
        return self.activity.failed / self.activity.runs if self.activity.runs else None


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
    """Return every label that the prompt has or had, ``production`` first, in two queries."""
    labels = Label.objects.filter(prompt=prompt).select_related("version", "prompt")
    moves: dict[int, list[LabelMove]] = {}
    for move in LabelMove.objects.filter(label__prompt=prompt).select_related("to_version").order_by("-at", "-id"):
        moves.setdefault(move.label_id, []).append(move)
    rows = []
    for label in sorted(labels, key=lambda one: label_order(one.name)):
        history = moves.get(label.pk, [])
        earlier = (move.to_version for move in history if move.to_version and move.to_version_id != label.version_id)
        rows.append(LabelRow(label, history[0] if history else None, next(earlier, None)))
    return rows


def label_order(name: str) -> tuple[bool, str]:
    """``production`` first, then by name."""
    return (name != DEFAULT_LABEL, name)
