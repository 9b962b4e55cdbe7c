"""E-mail through a real mail server: once, in the reader's words, tried again where it can be."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from promptops.accounts.actors import SYSTEM
from promptops.accounts.models import Project
from promptops.accounts.services import remove_member
from promptops.notifications import emailing
from promptops.notifications.emailing import MAX_ATTEMPTS
from promptops.notifications.execution import deliver
from promptops.notifications.models import EmailChoice, Notification
from promptops.notifications.services import choose_emails, mark_read, notify
from promptops.settings import email_from_url
from tests.notifications.mailbox import Mailbox
from tests.people import Team


@pytest.fixture(autouse=True)
def _wanted(team: Team) -> None:
    choose_emails(team.admin, ["label.moved"])


def tell(team: Team, *people: Any, **params: Any) -> None:
    given = {"label": "production", "prompt": "greeting", "version": 3, **params}
    who = people or (team.admin,)
    notify(team.project, who, "label.moved", params=given, url="/p/team/prompts/", actor=team.actor("editor"))


def due_now() -> None:
    Notification.objects.exclude(email_due_at=None).update(email_due_at=timezone.now())


def test_it_sends_plain_text_and_html(team: Team, mailbox: Mailbox) -> None:
    tell(team)
    deliver()
    (letter,) = mailbox.letters
    one = Notification.objects.get()
    assert letter.recipient == "admin@team.example"
    assert (
        letter.message["Subject"].strip() == "[Project team] Editor moved “production” of greeting to your version 3."
    )
    for kind in ("plain", "html"):
        assert "Editor moved “production”" in letter.text(kind)
        assert f"http://127.0.0.1:8000/inbox/{one.pk}/open/" in letter.text(kind)
        assert "http://127.0.0.1:8000/profile/#email" in letter.text(kind)
    assert letter.message["Auto-Submitted"] == "auto-generated"
    assert "/profile/" in letter.message["List-Unsubscribe"]
    assert one.email_sent_at is not None
    assert one.email_due_at is None


def test_it_sends_once(team: Team, mailbox: Mailbox) -> None:
    tell(team)
    deliver()
    deliver()
    tell(team)  # the same thing, still unread
    deliver()
    assert len(mailbox.letters) == 1


def test_it_sends_only_to_who_wants_it(team: Team, mailbox: Mailbox) -> None:
    tell(team, team.admin, team.viewer, team.reviewer)
    deliver()
    assert [letter.recipient for letter in mailbox.letters] == ["admin@team.example"]
    assert Notification.objects.count() == 3


def test_names_cannot_write_headers_or_markup(team: Team, mailbox: Mailbox) -> None:
    Project.objects.filter(pk=team.project.pk).update(name="Team\rBcc: all@evil.example")
    tell(team, prompt="x\r\nBcc: all@evil.example\r\n<script>alert(1)</script>")
    deliver()
    (letter,) = mailbox.letters
    assert letter.message["Bcc"] is None
    assert "<script>" not in letter.text("html")
    assert "&lt;script&gt;" in letter.text("html")


def test_it_tries_again_where_the_server_is_away(team: Team, mailbox: Mailbox, settings: Any) -> None:
    settings.EMAIL_PORT = 1
    tell(team)
    deliver()
    one = Notification.objects.get()
    assert (one.email_attempts, one.email_sent_at) == (1, None)
    assert "refused" in one.email_error
    assert one.email_due_at is not None
    assert one.email_due_at > timezone.now() + dt.timedelta(seconds=3)
    settings.EMAIL_PORT = mailbox.port
    due_now()
    deliver()
    one.refresh_from_db()
    assert (one.email_attempts, one.email_error) == (2, "")
    assert len(mailbox.letters) == 1


def test_a_server_that_is_away_is_asked_once_not_for_every_message(team: Team, mailbox: Mailbox, settings: Any) -> None:
    choose_emails(team.viewer, ["label.moved"])
    settings.EMAIL_PORT = 1
    tell(team, team.admin, team.viewer)
    deliver()
    assert sorted(Notification.objects.values_list("email_attempts", flat=True)) == [0, 1]


def test_a_message_that_is_refused_for_now_is_sent_later_and_the_others_go_on(team: Team, mailbox: Mailbox) -> None:
    choose_emails(team.viewer, ["label.moved"])
    mailbox.data_answers = ["451 try later"]
    tell(team)
    tell(team, team.viewer)
    deliver()
    assert [letter.recipient for letter in mailbox.letters] == ["viewer@team.example"]
    due_now()
    deliver()
    assert len(mailbox.letters) == 2


def test_an_address_that_does_not_exist_is_given_up(team: Team, mailbox: Mailbox) -> None:
    mailbox.recipient_answers = ["550 no such person"]
    tell(team)
    deliver()
    one = Notification.objects.get()
    assert (one.email_due_at, one.email_sent_at) == (None, None)
    assert "550" in one.email_error


def test_it_gives_up_in_the_end(team: Team, mailbox: Mailbox) -> None:
    mailbox.data_answers = ["451 never"] * MAX_ATTEMPTS
    tell(team)
    for _attempt in range(MAX_ATTEMPTS):
        due_now()
        deliver()
    one = Notification.objects.get()
    assert (one.email_attempts, one.email_due_at, one.email_sent_at) == (MAX_ATTEMPTS, None, None)


def test_what_was_read_meanwhile_is_not_sent(team: Team, mailbox: Mailbox) -> None:
    tell(team)
    mark_read(Notification.objects.get())
    deliver()
    assert not mailbox.letters
    assert Notification.objects.get().email_due_at is None


def test_who_left_the_project_gets_nothing(team: Team, mailbox: Mailbox) -> None:
    tell(team)
    remove_member(SYSTEM, team.project.memberships.get(user=team.admin))
    deliver()
    assert not mailbox.letters


def test_two_workers_never_send_the_same(team: Team, mailbox: Mailbox) -> None:
    tell(team)
    first = emailing._claim()
    assert first is not None
    assert emailing._claim() is None, "it is held"
    due_now()  # the lease of a worker that is stuck is over
    emailing.send_due(timezone.now() + dt.timedelta(seconds=5))
    assert len(mailbox.letters) == 1
    emailing._record(first, email_due_at=timezone.now())  # what it says late does not count
    assert Notification.objects.get().email_due_at is None


def test_without_a_mail_server_nothing_is_tried(team: Team, settings: Any) -> None:
    settings.EMAIL_ENABLED = False
    tell(team)
    deliver()
    one = Notification.objects.get()
    assert (one.email_due_at, one.email_attempts) == (None, 0)


def test_a_choice_stands_until_it_is_changed(team: Team, mailbox: Mailbox) -> None:
    choose_emails(team.admin, ["batch.ended", "no.such.kind"])
    assert not EmailChoice.objects.filter(kind="no.such.kind").exists()
    tell(team)
    deliver()
    assert not mailbox.letters


@pytest.mark.parametrize(
    ("url", "port", "tls", "ssl"),
    [
        ("smtp://mail.example", 25, False, False),
        ("smtp://mail.example?tls=starttls", 587, True, False),
        ("smtps://me%40x:p%3Aw@mail.example", 465, False, True),
    ],
)
def test_the_address_of_the_server_says_how(
    monkeypatch: pytest.MonkeyPatch, url: str, port: int, tls: bool, ssl: bool
) -> None:
    monkeypatch.setenv("EMAIL_URL", url)
    found = email_from_url("EMAIL_URL")
    assert (found["EMAIL_PORT"], found["EMAIL_USE_TLS"], found["EMAIL_USE_SSL"]) == (port, tls, ssl)
    if ssl:
        assert (found["EMAIL_HOST_USER"], found["EMAIL_HOST_PASSWORD"]) == ("me@x", "p:w")


@pytest.mark.parametrize("url", ["mail.example", "http://mail.example", "smtp://", "smtp://mail.example?tls=yes"])
def test_a_wrong_address_of_the_server_stops_the_start(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("EMAIL_URL", url)
    with pytest.raises(ImproperlyConfigured):
        email_from_url("EMAIL_URL")
