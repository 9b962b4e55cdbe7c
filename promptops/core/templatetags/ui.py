"""What every template needs: icons, numbers with units, times, links that keep the query, form fields."""

from __future__ import annotations

import datetime as dt
import json
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django import template
from django.forms import BoundField, CheckboxInput, CheckboxSelectMultiple, RadioSelect, Select
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html, json_script
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from promptops.core.client_strings import client_strings

register = template.Library()

UNKNOWN = "—"
STATUS_ICONS = {
    "queued": "clock",
    "running": "loader-2",
    "succeeded": "circle-check",
    "failed": "circle-x",
    "cancelled": "ban",
    "blocked": "shield-x",
}


@register.simple_tag
def icon(name: str, css_class: str = "") -> SafeString:
    """An icon of the sprite that the build makes; decoration only, so give the control its own label."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        css_class,
        static("dist/icons.svg"),
        name,
    )


@register.filter
def as_json(value: Any) -> str:
    """JSON for a data attribute. (A script block would not survive htmx, which takes scripts out of fragments.)"""
    return json.dumps(value, default=str)


@register.filter
def status_icon(status: str) -> str:
    return STATUS_ICONS.get(str(status), "circle")


@register.filter
def tokens(value: int | None) -> str:
    """``1234`` → ``1,234``; unknown is a dash, never 0."""
    return UNKNOWN if value is None else number_format(value, use_l10n=True, force_grouping=True)


@register.filter
def compact(value: float | None) -> str:
    """``12345`` → ``12.3k``, for tiles and narrow columns."""
    if value is None:
        return UNKNOWN
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if abs(value) >= size:
            return f"{value / size:.1f}".removesuffix(".0") + unit
    return f"{value:g}"


def format_money(value: Decimal | float | None) -> str:
    """USD with the digits that matter: ``$12.40``, ``$0.0312``, ``$0.000047``; unknown is a dash, never 0."""
    if value is None:
        return UNKNOWN
    amount = Decimal(value)
    if amount == 0:
        return "$0"
    if abs(amount) >= 1:
        return f"${amount.quantize(Decimal('0.01'), ROUND_HALF_UP):,}"
    # Three significant digits below a dollar: adjusted() is the exponent of the first one.
    digits = min(10, 2 - amount.adjusted())
    return "$" + f"{amount:.{digits}f}".rstrip("0").rstrip(".")


@register.simple_tag
def money(value: Decimal | float | None, estimated: bool = False) -> SafeString:
    """An amount in USD; ``≈`` in front of what we counted ourselves."""
    if value is None:
        return format_html('<span title="{}">{}</span>', _("Not known: the endpoint has no price."), UNKNOWN)
    if estimated and value:  # nothing is nothing, however it was counted
        return format_html('<span class="nums" title="{}">≈ {}</span>', _("Estimated"), format_money(value))
    return format_html('<span class="nums">{}</span>', format_money(value))


@register.filter(name="money")
def money_filter(value: Decimal | float | None) -> str:
    return format_money(value)


@register.filter
def duration(seconds: float | dt.timedelta | None) -> str:
    """Seconds as ``820 ms``, ``1.24 s``, ``2 min 5 s``, ``1 h 3 min``."""
    if seconds is None:
        return UNKNOWN
    value = seconds.total_seconds() if isinstance(seconds, dt.timedelta) else float(seconds)
    if value < 1:
        return _("%(count)s ms") % {"count": round(value * 1000)}
    if value < 60:
        return _("%(count)s s") % {"count": f"{value:.2f}" if value < 10 else f"{value:.1f}"}
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return _("%(minutes)s min %(seconds)s s") % {"minutes": minutes, "seconds": rest}
    return _("%(hours)s h %(minutes)s min") % {"hours": minutes // 60, "minutes": minutes % 60}


@register.filter
def milliseconds(value: float | None) -> str:
    """Milliseconds in the unit that reads best."""
    return UNKNOWN if value is None else duration(value / 1000)


def _time_element(value: dt.datetime | None, style: str) -> SafeString:
    if value is None:
        return SafeString(UNKNOWN)
    moment = value.astimezone(dt.UTC)
    text = date_format(timezone.localtime(value), "DATETIME_FORMAT") + " UTC"
    return format_html('<time datetime="{}" data-time="{}">{}</time>', moment.isoformat(), style, text)


@register.simple_tag
def time_ago(value: dt.datetime | None) -> SafeString:
    """“3 min. ago”, in the reader's own time, kept up to date; UTC without scripts."""
    return _time_element(value, "relative")


@register.simple_tag
def local_time(value: dt.datetime | None, style: str = "short") -> SafeString:
    """Date and time where the reader is; ``style`` is ``short`` or ``full`` (with seconds)."""
    return _time_element(value, style)


@register.simple_tag(takes_context=True)
def query_replace(context: template.Context, **changes: Any) -> str:
    """The present query string with some keys replaced; an empty value takes its key away."""
    request: HttpRequest = context["request"]
    query = request.GET.copy()
    for key, value in changes.items():
        if value in (None, ""):
            query.pop(key, None)
        else:
            query[key] = str(value)
    return "?" + query.urlencode()


@register.inclusion_tag("components/sort_header.html", takes_context=True)
def sort_header(
    context: template.Context, key: str, label: str, css_class: str = "", first: str = ""
) -> dict[str, Any]:
    """A ``<th>`` that sorts by ``key`` (``?sort=key``, ``?sort=-key``); ``first="-"`` begins with the largest.

    The view's context must hold ``sort``, the order in force.
    """
    current = str(context.get("sort") or "")
    direction = "ascending" if current == key else "descending" if current == f"-{key}" else ""
    following = {"ascending": f"-{key}", "descending": key, "": f"{first}{key}"}
    return {
        "label": label,
        "css_class": css_class,
        "direction": direction,
        "href": query_replace(context, sort=following[direction], cursor="", page=""),
        "target": context.get("table_target", ""),
    }


@register.simple_tag
def field(bound: BoundField, **attributes: Any) -> SafeString:
    """A form field with its label, help and errors; keyword arguments become attributes (``_`` for ``-``)."""
    widget = bound.field.widget
    attrs = {name.replace("_", "-"): value for name, value in attributes.items()}
    checkbox = isinstance(widget, CheckboxInput)
    group = isinstance(widget, (CheckboxSelectMultiple, RadioSelect))
    base = "form-check-input" if checkbox or group else "form-select" if isinstance(widget, Select) else "form-control"
    attrs["class"] = f"{base} {widget.attrs.get('class', '')} {attrs.get('class', '')}".strip()
    described = [f"{bound.auto_id}_help"] if bound.help_text else []
    described += [f"{bound.auto_id}_error"] if bound.errors else []
    if described and not group:
        attrs["aria-describedby"] = " ".join(described)
    if group:
        widget.attrs["class"] = base  # its options are rendered one by one
    context = {
        "field": bound,
        "control": "" if group else bound.as_widget(attrs=attrs),
        "checkbox": checkbox,
        "group": group,
    }
    return SafeString(render_to_string("components/field.html", context))


@register.filter
def initials(name: str) -> str:
    """At most two letters for a picture-less person or project."""
    words = str(name).split()
    letters = [word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words)]
    return "".join(letters)


@register.filter
def short_id(value: object) -> str:
    """The last eight characters: a UUIDv7's beginning is its time, alike for all runs of a minute."""
    return str(value)[-8:]


@register.simple_tag
def ui_strings() -> SafeString:
    """The translated texts of our scripts, as a JSON block that the content security policy lets through."""
    return json_script(client_strings(), element_id="ui-strings")
