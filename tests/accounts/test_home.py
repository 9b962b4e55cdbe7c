"""The first page of a project."""

from django.urls import reverse

from promptops.accounts.models import ApiToken, User
from promptops.prompts.services import move_label
from tests.html import Page, signed_in
from tests.people import Team
from tests.runs.pages import scripted_endpoint, start


def steps(page: Page) -> dict[str, bool]:
    """Title → done."""
    lists = page.all("ol", class_="guide-steps")
    items = lists[0].all("li") if lists else []
    return {one.text.split(" (done)")[0]: "is-done" in one.attributes.get("class", "") for one in items}


def home(team: Team, role: str = "owner") -> Page:
    return Page(signed_in(getattr(team, role)).get("/p/team/"))


def done(page: Page) -> list[str]:
    return [title for title, is_done in steps(page).items() if is_done]


def test_the_first_steps_tick_themselves_off(team: Team) -> None:
    assert done(home(team)) == ["Invite somebody"]
    version = team.prompt()
    assert done(home(team)) == ["Write a prompt", "Invite somebody"]
    move_label(team.actor("editor"), version.prompt, "production", version, reason="go")
    assert "Put the label “production” on a version" in done(home(team))
    scripted_endpoint(team)
    start(team)
    assert "Run it on a model" in done(home(team))
    secret = team.token("viewer")
    assert "Fetch it from your own code" not in done(home(team))
    ApiToken.objects.update(last_used_at=version.created_at)
    page = home(team)
    assert steps(page) == {}  # all of them are done
    assert secret not in page.source


def test_a_project_of_one_is_told_to_invite(team: Team) -> None:
    page = Page(signed_in(team.outsider).get("/p/team-elsewhere/"))
    assert done(page) == []
    assert page.link("Invite somebody") == "/p/team-elsewhere/settings/members/"


def test_each_role_sees_the_steps_that_it_can_take(team: Team) -> None:
    assert len(steps(home(team, "admin"))) == 5
    assert len(steps(home(team, "editor"))) == 3
    assert steps(home(team, "viewer")) == {}


def test_it_loads_the_panels_of_the_other_apps(team: Team) -> None:
    loaded = [one.attributes["hx-get"] for one in home(team, "viewer").content.all(hx_trigger="load")]
    assert loaded == [reverse(f"{app}:home-panel", args=["team"]) for app in ("reviews", "runs", "prompts")]
    client = signed_in(team.viewer)
    for url in loaded:
        assert not Page(client.get(url, headers={"HX-Request": "true"})).is_whole


def test_only_admins_see_the_latest_events(team: Team) -> None:
    assert "Latest events" in home(team, "admin").text
    assert "member.added" in home(team, "admin").text
    assert "member.added" not in home(team, "reviewer").text


def test_it_names_the_members(team: Team) -> None:
    User.objects.filter(pk=team.editor.pk).update(name="<i>Edda</i>")
    page = home(team, "viewer")
    assert "<i>Edda</i>" not in page.source
    assert "<i>Edda</i>" in page.text
    assert page.link("<i>Edda</i>").startswith("/p/team/settings/members/")


def test_an_outsider_gets_404(team: Team) -> None:
    page = Page(signed_in(team.outsider).get("/p/team/"), 404)
    assert "Project team" not in page.source
    Page(signed_in(team.outsider).get("/p/never-was/"), 404)
