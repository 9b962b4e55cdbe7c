"""The frame around every page: navigation, theme, sidebar. A context processor, so that views know nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, resolve, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from promptops.accounts.models import Project, Role, User
from promptops.accounts.policies import can
from promptops.notifications.selectors import unread_count
from promptops.reviews.waiting import waiting_for

THEMES = ("light", "dark", "auto")


@dataclass(frozen=True)
class Entry:
    """One line of the sidebar.

    ``namespaces`` and ``routes`` make it the current one; ``role`` is the least that sees it.
    """

    label: str | Promise
    route: str
    icon: str
    shortcut: str
    namespaces: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    role: Role = Role.VIEWER
    waiting: Callable[[Project, User], QuerySet[Any]] | None = None  # what it counts: what waits for the person


ENTRIES = (
    Entry(_("Home"), "accounts:project-home", icon="home", shortcut="g h", routes=("accounts:project-home",)),
    Entry(_("Prompts"), "prompts:list", icon="message-2-code", shortcut="g p", namespaces=("prompts",)),
    Entry(
        _("Changes"),
        "reviews:list",
        icon="git-pull-request",
        shortcut="g c",
        namespaces=("reviews",),
        waiting=waiting_for,
    ),
    Entry(_("Runs"), "runs:list", icon="player-play", shortcut="g r", namespaces=("runs",)),
    Entry(_("Models"), "catalog:endpoint-list", icon="cpu", shortcut="g m", namespaces=("catalog",)),
    Entry(
        _("Audit"),
        "accounts:audit",
        icon="shield-check",
        shortcut="g a",
        routes=("accounts:audit", "accounts:audit-verify"),
        role=Role.ADMIN,
    ),
    Entry(
        _("Settings"),
        "accounts:members",
        icon="settings",
        shortcut="g s",
        routes=(
            "accounts:members",
            "accounts:member",
            "accounts:member-role",
            "accounts:member-link",
            "accounts:invite",
            "accounts:tokens",
            "accounts:token-create",
            "accounts:project-settings",
            "catalog:credential-list",
            "catalog:credential-create",
            "catalog:credential-edit",
            "catalog:credential-test",
            "reviews:policies",
            "reviews:policy-set",
            "reviews:owners-set",
            "notifications:webhooks",
            "notifications:webhook-create",
            "notifications:webhook",
            "notifications:webhook-rotate",
            "notifications:delivery",
        ),
    ),
)


# Outside of any project.
PERSONAL_ENTRIES = (
    Entry(
        _("Projects"),
        "accounts:projects",
        icon="stack-2",
        shortcut="g p",
        routes=("accounts:projects", "accounts:project-create"),
    ),
    Entry(
        _("Profile"),
        "accounts:profile",
        icon="user",
        shortcut="g u",
        routes=("accounts:profile", "accounts:password", "notifications:email-settings"),
    ),
)


@dataclass(frozen=True)
class Tab:
    key: str
    label: str | Promise
    route: str
    icon: str


# The tabs of the settings; who may not open one does not see it (templates/accounts/settings_tabs.html).
SETTINGS_TABS = (
    Tab("project", _("Project"), "accounts:project-settings", icon="adjustments"),
    Tab("members", _("Members"), "accounts:members", icon="users"),
    Tab("review", _("Review"), "reviews:policies", icon="shield-lock"),
    Tab("tokens", _("API tokens"), "accounts:tokens", icon="key"),
    Tab("credentials", _("Credentials"), "catalog:credential-list", icon="lock"),
    Tab("webhooks", _("Webhooks"), "notifications:webhooks", icon="webhook"),
)


def context(request: HttpRequest) -> dict[str, Any]:
    """Return what the frame shows: theme, sidebar, navigation, the tabs of the settings."""
    project: Project | None = getattr(request, "project", None)
    return {
        "ui_theme": _theme(request),
        "ui_sidebar": "collapsed" if request.COOKIES.get("sidebar") == "collapsed" else "open",
        "nav": _navigation(request, project),
        "palette_search_url": _url("prompts:search", project) if project else "",
        "unread": lambda: _unread(request),
        "settings_tabs": lambda: _settings_tabs(request, project) if project else [],
    }


def _theme(request: HttpRequest) -> str:
    """The cookie (this browser's choice), else the person's own setting, else the system's."""
    chosen = request.COOKIES.get("theme") or getattr(getattr(request, "user", None), "theme", "")
    return chosen if chosen in THEMES else "auto"


def _unread(request: HttpRequest) -> int:
    return unread_count(request.user) if isinstance(request.user, User) else 0


def _url(route: str, project: Project | None) -> str:
    try:
        return reverse(route, args=[project.slug] if project else [])
    except NoReverseMatch:
        return ""


def _navigation(request: HttpRequest, project: Project | None) -> list[dict[str, Any]]:
    """Where one can go: within the project, or outside of any."""
    actor = getattr(request, "actor", None)
    if actor is None:
        return []
    role = actor.role_in(project) if project else Role.VIEWER
    items = []
    current = _current_entry(request)
    for entry in ENTRIES if project else PERSONAL_ENTRIES:
        url = _url(entry.route, project)
        if url and role is not None and role.includes(entry.role):
            items.append(
                {
                    "label": entry.label,
                    "url": url,
                    "icon": entry.icon,
                    "shortcut": entry.shortcut,
                    "current": entry is current,
                    "waiting": _waiting(entry, request, project),
                }
            )
    return items


def _waiting(entry: Entry, request: HttpRequest, project: Project | None) -> Callable[[], int]:
    """Counted when a page shows it: fragments have no sidebar."""

    def count() -> int:
        if entry.waiting is None or project is None or not isinstance(request.user, User):
            return 0
        return entry.waiting(project, request.user).count()

    return count


def _current_entry(request: HttpRequest) -> Entry | None:
    match = request.resolver_match
    if match is None:
        return None
    for entry in (*ENTRIES, *PERSONAL_ENTRIES):
        if match.view_name in entry.routes:
            return entry
    return next((entry for entry in ENTRIES if match.namespace in entry.namespaces), None)


def _settings_tabs(request: HttpRequest, project: Project) -> list[dict[str, Any]]:
    """What each view itself demands decides (``project_view`` leaves its permission on it)."""
    actor = getattr(request, "actor", None)
    tabs = []
    for tab in SETTINGS_TABS:
        url = _url(tab.route, project)
        permission = getattr(resolve(url).func, "permission", None) if url else None
        if actor is not None and permission is not None and can(actor, project, permission):
            tabs.append({"key": tab.key, "label": tab.label, "url": url, "icon": tab.icon})
    return tabs
