"""Where a run came from, as a graph: prompt → version → label at that time → run, with its endpoint and its origins.

Everything in it was recorded when the run began or follows from histories that never change, so the graph of a run is
the same in a year. See docs/lineage.md.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from promptops.core.templatetags.ui import short_id
from promptops.prompts.models import Prompt, PromptVersion
from promptops.prompts.selectors import labels_at
from promptops.runs.models import Run, RunPayload
from promptops.runs.querysets import runs_of


@dataclass(frozen=True)
class Node:
    """One object. ``kind_label`` names its kind to people; ``url`` is empty where it has no page."""

    id: str
    kind: str
    kind_label: str
    label: str
    url: str = ""
    current: bool = False


@dataclass
class Graph:
    """Nodes in reading order, and edges ``{from, to, label}`` in the direction in which one led to the other."""

    nodes: list[Node] = field(default_factory=list)
    edges: list[dict[str, str]] = field(default_factory=list)

    def add(self, node: Node) -> Node:
        self.nodes.append(node)
        return node

    def join(self, origin: Node, result: Node, label: str = "") -> None:
        self.edges.append({"from": origin.id, "to": result.id, "label": label})

    def as_json(self) -> dict[str, Any]:
        return {"nodes": [asdict(node) for node in self.nodes], "edges": self.edges}


def lineage_of(run: Run, payload: RunPayload) -> dict[str, Any]:
    """Return the run's graph for ``components/lineage.html``; ``payload`` is the run's."""
    graph = Graph()
    project = run.project.slug
    result = Node(
        "run", "run", _("Run"), f"…{short_id(run.pk)}", reverse("runs:detail", args=[project, run.pk]), current=True
    )
    for origin, label in _content(graph, run, project):
        graph.join(origin, result, label)
    for included in payload.includes:
        graph.join(graph.add(_included_node(included, project)), result, _("was part of its prompt"))
    endpoint_url = reverse("catalog:endpoint-detail", args=[project, run.endpoint.slug])
    endpoint = graph.add(Node("endpoint", "endpoint", _("Model"), run.endpoint.name, endpoint_url))
    graph.join(endpoint, result, _("ran it"))
    if run.batch_id is not None:
        url = reverse("runs:batch-detail", args=[project, run.batch_id])
        batch = graph.add(Node("batch", "batch", _("Batch"), f"…{short_id(run.batch_id)}", url))
        graph.join(batch, result, _("started it"))
    repeated = _repeated(run)
    if repeated is not None:
        url = reverse("runs:detail", args=[project, repeated.pk])
        graph.join(
            graph.add(Node("origin", "run", _("Run"), f"…{short_id(repeated.pk)}", url)), result, _("repeated as")
        )
    graph.add(result)
    return graph.as_json()


def _content(graph: Graph, run: Run, project: str) -> list[tuple[Node, str]]:
    """Add prompt, version (or draft) and labels; return what leads to the run, each with the edge's text."""
    prompt = graph.add(_prompt_node(run.prompt, project)) if run.prompt else None
    if run.version is None or run.prompt is None:
        draft = graph.add(Node("version", "version", _("Draft"), _("draft %s") % run.spec.sha256[:8]))
        if prompt:
            graph.join(prompt, draft)
        return [(draft, "")]
    version = graph.add(_version_node(run.version, run.prompt, project))
    if prompt:
        graph.join(prompt, version)
    standing = labels_at(run.version, run.created_at)
    # The label asked for may have been moved in the moment between looking it up and recording the run.
    names = sorted({*standing, *([run.label] if run.label else [])}, key=lambda name: (name != run.label, name))
    leading = []
    for name in names:
        label = graph.add(_label_node(name, run, project))
        graph.join(version, label, _("was live as"))
        if name == run.label:
            leading.append((label, _("was asked for")))
    return leading or [(version, "")]


def _prompt_node(prompt: Prompt, project: str) -> Node:
    return Node("prompt", "prompt", _("Prompt"), prompt.slug, reverse("prompts:detail", args=[project, prompt.slug]))


def _version_node(version: PromptVersion, prompt: Prompt, project: str) -> Node:
    url = reverse("prompts:version-detail", args=[project, prompt.slug, version.number])
    return Node("version", "version", _("Version"), _("version %d") % version.number, url)


def _included_node(included: dict[str, Any], project: str) -> Node:
    slug, number = included["prompt"], included["version"]
    url = reverse("prompts:version-detail", args=[project, slug, number])
    kind = _("Included by %s") % included["label"] if included["label"] else _("Included")
    return Node(f"include-{included['reference']}", "include", kind, f"{slug} v{number}", url)


def _label_node(name: str, run: Run, project: str) -> Node:
    assert run.prompt is not None  # noqa: S101 (only versions of prompts have labels)
    url = reverse("prompts:label-history", args=[project, run.prompt.slug, name])
    moment = run.created_at.strftime("%Y-%m-%dT%H:%M:%S")
    return Node(f"label-{name}", "label", _("Label at that time"), name, f"{url}?at={moment}")


def _repeated(run: Run) -> Run | None:
    """The run that this one repeats, if it is still there."""
    try:
        origin = uuid.UUID(str(run.metadata.get("replay_of", "")))
    except ValueError:
        return None
    return runs_of(run.project).filter(pk=origin).first()
