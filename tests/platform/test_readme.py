"""What the README says is so: its calls work on the demo, and its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from promptops.accounts.actors import SYSTEM
from promptops.accounts.tokens import create_token
from promptops.management.demo.making import make_demo

README = Path(settings.BASE_DIR, "README.md").read_text()
ADDRESS = "http://127.0.0.1:8000"


def curl_calls() -> list[list[str]]:
    """Every ``curl`` of the README as a shell would read it."""
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    return [shlex.split(block.replace("\\\n", " ")) for block in blocks if block.startswith("curl ")]


def call(client: Client, words: list[str], token: str) -> Any:
    """Make the call that those words mean."""
    options = {"-X": "GET", "-d": ""}
    headers, url = {}, ""
    left = iter(words[1:])
    for word in left:
        if word == "-H":
            name, _colon, value = next(left).replace("$TOKEN", token).partition(": ")
            headers[name] = value
        elif word.startswith("-"):
            assert word in options, f"this test does not know curl's {word}"
            options[word] = next(left)
        else:
            url = word
    assert url.startswith(ADDRESS)
    body = options["-d"].replace('"wait": 30', '"wait": 0')  # no worker runs here
    path = url.removeprefix(ADDRESS)
    return client.generic(options["-X"], path, body, content_type="application/json", headers=headers)


@pytest.mark.django_db
def test_its_calls_work_on_the_demo(client: Client) -> None:
    project = make_demo()
    role = re.search(r"--project demo --role (\w+)", README)
    assert role is not None
    _token, secret = create_token(SYSTEM, project, name="readme", role=role[1])

    run, fetch = (call(client, words, secret) for words in curl_calls())

    assert run.status_code == 202, run.content
    assert (run.json()["prompt"], run.json()["version"], run.json()["label"]) == ("sentiment-label", 3, "production")
    assert run.json()["messages"][-1]["content"].startswith("Would buy again")
    assert fetch.status_code == 200
    assert fetch.json()["version"] == 3
    assert fetch["ETag"]


def test_its_links_and_pictures_are_there() -> None:
    targets = re.findall(r"\]\(([^)#]+)", README)
    assert len(targets) > 8
    missing = [target for target in targets if "://" not in target and not Path(settings.BASE_DIR, target).exists()]
    assert not missing
    pictures = [Path(settings.BASE_DIR, target) for target in targets if target.endswith(".png")]
    assert len(pictures) == 2
    assert all(picture.stat().st_size < 200_000 for picture in pictures)


def test_every_page_of_the_documentation_is_linked() -> None:
    pages = {f"docs/{path.name}" for path in Path(settings.BASE_DIR, "docs").glob("*.md")}
    linked = set(re.findall(r"\]\((docs/[^)#]+\.md)", README))
    assert pages == linked
