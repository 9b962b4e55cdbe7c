"""What the tests of the prompt pages share."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from promptops.prompts.models import Prompt, PromptVersion
from promptops.prompts.services import create_version
from tests.people import GREETING, Team

# Each of them would run, break out of its place or disappear, were it not escaped.
NASTY = """<script>alert(1)</script>"'><img src=x onerror=alert(2)>&amp;{{ 7*7 }}"""


def page(name: str, prompt: Prompt | str, *more: Any, query: str = "") -> str:
    """The path of a prompt's page in the team's project."""
    slug = prompt if isinstance(prompt, str) else prompt.slug
    return reverse(f"prompts:{name}", args=["team", slug, *more]) + query


def said(*texts: str) -> list[dict[str, str]]:
    """User messages with these texts."""
    return [{"role": "user", "content": text} for text in texts]


def versions(team: Team, count: int, slug: str = "greeting", **heading: Any) -> list[PromptVersion]:
    """A prompt with so many versions; version 1 is the greeting."""
    made = [team.prompt(slug, **heading)]
    for number in range(2, count + 1):
        made.append(save(team, made[0].prompt, messages=said(f"text {number}")))
    return made


def save(team: Team, prompt: Prompt, *, by: str = "editor", message: str = "", **changes: Any) -> PromptVersion:
    """A further version: the greeting with these changes."""
    return create_version(team.actor(by), prompt, {**GREETING, **changes}, message=message)[0]
