"""The pages and REST operations of webhooks."""

from __future__ import annotations

import re
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.urls import reverse

from promptops.audit.models import AuditEvent
from promptops.notifications.deliveries import secrets_of
from promptops.notifications.models import Delivery, Webhook
from promptops.notifications.services import create_webhook
from promptops.notifications.services.webhooks import MAX_WEBHOOKS
from tests.html import HTMX, Page, csv_rows, signed_in
from tests.notifications.receiver import Receiver
from tests.people import Team

LIST = "/p/team/settings/webhooks/"
GIVEN = {"url": "https://hooks.example.com/a?sig=1", "description": "Deploys", "events": ["label.moved"]}
SECRET = re.compile(r"whsec_[\w-]{40,}")


def make(team: Team, url: str = "https://hooks.example.com/") -> Webhook:
    return create_webhook(team.actor("admin"), team.project, url=url, events=["label.moved"])[0]


def page_of(webhook: Webhook, name: str = "webhook", *more: Any) -> str:
    return reverse(f"notifications:{name}", args=["team", webhook.pk, *more])


def test_a_new_webhook_shows_its_secret_once(team: Team) -> None:
    client = signed_in(team.admin)
    answer = client.post(f"{LIST}new/", GIVEN, headers=HTMX)
    shown = SECRET.findall(Page(answer).source)
    webhook = Webhook.objects.get()
    (secret,) = set(shown)
    from django.utils import timezone

    assert secrets_of(webhook, timezone.now()) == [secret]
    assert webhook.url == GIVEN["url"], "its query stays"
    for url in (LIST, page_of(webhook)):
        assert secret not in Page(client.get(url)).source
    assert "no-store" in answer["Cache-Control"]
    assert secret[-4:] in Page(client.get(LIST)).text


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"url": "ftp://hooks.example.com/"}, "begins with https://"),
        ({"url": "https://me:pw@hooks.example.com/"}, "without user name"),
        ({"url": "http://169.254.169.254/latest"}, "not a public address"),
        ({"url": "http://127.0.0.1/"}, "not a public address"),
        ({"url": "https://a b/"}, "at most 1000"),
        ({"events": []}, "required"),
        ({"events": ["ping"]}, "not one of the available"),
    ],
)
def test_a_wrong_webhook_is_refused_and_what_was_typed_stays(
    team: Team, change: dict[str, Any], complaint: str
) -> None:
    answer = signed_in(team.admin).post(f"{LIST}new/", {**GIVEN, **change}, headers=HTMX)
    page = Page(answer, 422)
    assert complaint in page.errors()
    assert page.values()["description"] == "Deploys"
    assert not Webhook.objects.exists()


def test_changing_is_audited_without_the_address(team: Team) -> None:
    webhook = make(team)
    given = {"url": "https://other.example/secret-path", "description": "", "events": ["prompt.created"]}
    answer = signed_in(team.admin).post(page_of(webhook), given)
    assert answer.status_code == 302
    webhook.refresh_from_db()
    assert (webhook.url, webhook.events, webhook.is_active) == (given["url"], ["prompt.created"], False)
    event = AuditEvent.objects.get(action="webhook.updated")
    assert "other.example" in event.payload
    assert "secret-path" not in event.payload


def test_rotating_shows_the_new_secret_once(team: Team) -> None:
    webhook = make(team)
    client = signed_in(team.admin)
    page = Page(client.post(page_of(webhook, "webhook-rotate"), headers=HTMX))
    assert len(set(SECRET.findall(page.source))) == 1
    page = Page(client.get(page_of(webhook)))
    assert not SECRET.findall(page.source)
    assert "The old one signs until" in page.text


def test_a_test_says_what_came_back_and_stands_in_the_log(team: Team, receiver: Receiver) -> None:
    webhook = make(team, receiver.url)
    client = signed_in(team.admin)
    answer = client.post(page_of(webhook, "webhook-test"), headers=HTMX)
    assert "it answered 200" in Page(answer).text
    assert "deliveries:changed" in answer.headers["HX-Trigger"]
    receiver.answers = [503]
    page = Page(client.post(page_of(webhook, "webhook-test"), headers=HTMX))
    assert "did not arrive. It answered 503." in page.text
    log = Page(client.get(page_of(webhook, "deliveries"), headers=HTMX))
    assert [row.all("td")[1].text for row in log.one("tbody").all("tr")] == ["503", "200"]
    failed = Page(client.get(page_of(webhook, "deliveries") + "?status=failed", headers=HTMX))
    assert len(failed.one("tbody").all("tr")) == 1
    rows = csv_rows(client.get(page_of(webhook, "deliveries-csv")))
    assert rows[0][:4] == ["id", "event_id", "event", "status"]
    assert [row[3] for row in rows[1:]] == ["failed", "delivered"]


def test_a_delivery_shows_what_was_sent_and_can_be_sent_again(team: Team, receiver: Receiver) -> None:
    webhook = make(team, receiver.url)
    client = signed_in(team.admin)
    receiver.answers, receiver.text = [500], b"<b>no</b>"
    client.post(page_of(webhook, "webhook-test"))
    delivery = Delivery.objects.get()
    page = Page(client.get(page_of(webhook, "delivery", delivery.pk)))
    assert '"type": "ping"' in page.content.text
    assert "<b>no</b>" in page.content.text
    assert "It answered 500." in page.content.text
    answer = client.post(page_of(webhook, "redeliver", delivery.pk), follow=True)
    assert Page(answer).notices() == ["Delivered: it answered 200."]
    assert len(receiver.calls) == 2


def test_deleting_takes_the_log_with_it(team: Team, receiver: Receiver) -> None:
    webhook = make(team, receiver.url)
    client = signed_in(team.admin)
    client.post(page_of(webhook, "webhook-test"))
    assert client.post(page_of(webhook, "webhook-delete"))["Location"] == LIST
    assert not Webhook.objects.exists()
    assert "No webhooks yet" in Page(client.get(LIST)).content.text
    assert AuditEvent.objects.filter(action="webhook.deleted").exists()
    assert client.get("/p/team/audit/").status_code == 200


def test_the_audit_page_names_webhooks_by_their_host(team: Team) -> None:
    make(team)
    assert "hooks.example.com" in Page(signed_in(team.admin).get("/p/team/audit/")).content.text


def test_the_secrets_move_to_a_new_key(team: Team, settings: Any) -> None:
    import io

    from django.utils import timezone

    webhook = make(team)
    before = secrets_of(webhook, timezone.now())
    old, new = settings.ENCRYPTION_KEYS[0], Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [new, old]
    call_command("rotate_keys", stdout=io.StringIO())
    settings.ENCRYPTION_KEYS = [new]
    webhook.refresh_from_db()
    assert secrets_of(webhook, timezone.now()) == before


@pytest.fixture
def call(team: Team) -> Any:
    from tests.api.client import make_caller

    return make_caller(team.project)


def test_rest_does_all_of_it(team: Team, call: Any, receiver: Receiver) -> None:
    made = call("POST", "/webhooks", {"url": receiver.url, "events": ["label.moved"]}, headers={"Idempotency-Key": "a"})
    assert made.status_code == 201
    body = made.json()
    assert SECRET.fullmatch(body["secret"])
    path = f"/webhooks/{body['id']}"
    again = call(
        "POST", "/webhooks", {"url": receiver.url, "events": ["label.moved"]}, headers={"Idempotency-Key": "a"}
    )
    assert (again.json()["id"], again.json()["secret"]) == (body["id"], None)
    assert [one["id"] for one in call("GET", "/webhooks").json()["items"]] == [body["id"]]
    assert "secret" not in call("GET", path).json()
    assert call("PATCH", path, {"description": "CI"}).json()["description"] == "CI"
    rotated = call("POST", f"{path}/rotate").json()
    assert rotated["secret"] != body["secret"]
    assert rotated["previous_until"] is not None
    receiver.answers = [500]
    tested = call("POST", f"{path}/test").json()
    assert (tested["status"], tested["response_status"], tested["log"][0]["response_excerpt"]) == (
        "failed",
        500,
        "thanks",
    )
    sent = call("POST", f"{path}/deliveries/{tested['id']}/redeliver").json()
    assert (sent["status"], sent["attempts"], sent["body"]["type"]) == ("delivered", 2, "ping")
    (listed,) = call("GET", f"{path}/deliveries?status=delivered").json()["items"]
    assert listed["id"] == tested["id"]
    assert call("GET", f"{path}/deliveries/{tested['id']}").json()["log"][0]["number"] == 2
    assert call("DELETE", path).status_code == 204
    assert call("GET", path).status_code == 404


def test_rest_refuses_what_the_pages_refuse(team: Team, call: Any) -> None:
    wrong = call("POST", "/webhooks", {"url": "http://10.0.0.1/", "events": ["no.such"]})
    assert wrong.status_code == 422
    assert set(wrong.json()["errors"]) == {"url", "events"}


def test_a_project_has_so_many_webhooks(team: Team, call: Any) -> None:
    for _number in range(MAX_WEBHOOKS):
        make(team)
    refused = call("POST", "/webhooks", {"url": "https://hooks.example.com/", "events": ["label.moved"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many")
