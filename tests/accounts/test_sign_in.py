"""Signing in and out."""

import pytest
from django.test import Client
from django.urls import reverse

from tests.html import Page, signed_in
from tests.people import Team


def test_it_shows_the_shell_to_whoever_signed_in(team: Team) -> None:
    client = signed_in(team.editor)
    page = Page(client.get("/", follow=True))
    assert "Project team" in page.text
    assert page.is_whole


@pytest.mark.parametrize("name", ["projects", "project-create", "profile", "project-switcher"])
def test_pages_of_a_person_answer(team: Team, name: str) -> None:
    Page(signed_in(team.editor).get(reverse(f"accounts:{name}")))


def test_404(team: Team) -> None:
    Page(signed_in(team.editor).get("/nowhere/"), 404)
    Page(Client().get("/sign-in/"))
