"""Credentials: the keys by which this installation calls providers.

A key comes in once, is encrypted at once, and is never shown, logged or audited: people know it by its last four
characters. Whoever changes the address that a key is sent to has to enter the key again; otherwise an admin could have
it sent to a server of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from promptops.accounts.actors import SYSTEM, Actor
from promptops.accounts.models import Project
from promptops.accounts.policies import Permission, require
from promptops.audit import services as audit
from promptops.catalog import probe
from promptops.catalog.connections import connection_of
from promptops.catalog.models import Credential, Endpoint, Provider
from promptops.core import egress, encryption
from promptops.core.errors import Conflict, Invalid, Unavailable

MAX_NAME = 80
MAX_KEY = 500
MAX_URL = 300
SHOWN = 4
LEAST_TO_SHOW = 8  # of a shorter key, four characters would give half of it away


@transaction.atomic
def create_credential(
    actor: Actor, project: Project, *, name: str, provider: str, api_key: str, base_url: str = ""
) -> Credential:
    """Store a provider's key.

    Args:
        base_url: of an OpenAI-compatible server or a proxy; empty is the provider's own address. With one, the key may
            be empty: servers of one's own often want none.

    Raises:
        Invalid: a field is malformed, the name is taken, or the address is refused (``errors`` by field).
    """
    require(actor, project, Permission.ADMIN)
    errors: dict[str, list[str]] = {}
    clean_name = _clean_name(name, errors)
    clean_url = _clean_url(base_url, errors)
    clean_key = _clean_key(api_key, errors, optional=bool(clean_url) and provider == Provider.OPENAI)
    if provider not in allowed_providers():
        errors["provider"] = [_("Choose a provider that takes a key: %s.") % ", ".join(allowed_providers())]
    if errors:
        raise Invalid(_("The credential was not saved: please correct what is marked."), errors=errors)
    credential = Credential(
        project=project,
        name=clean_name,
        provider=provider,
        base_url=clean_url,
        encrypted_key=encryption.encrypt(clean_key),
        last_four=_last_four(clean_key),
        created_by=actor.user,
    )
    _save(credential)
    _record(actor, "credential.created", credential, provider=provider, host=_host(clean_url))
    return credential


@transaction.atomic
def update_credential(
    actor: Actor,
    credential: Credential,
    *,
    name: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
) -> Credential:
    """Rename a credential, replace its key, or send it elsewhere (None leaves a field).

    Raises:
        Invalid: a field is malformed; or the address changes and no key was entered with it.
        Conflict: it is archived.
    """
    require(actor, credential.project, Permission.ADMIN)
    credential = Credential.objects.select_for_update(of=("self",)).select_related("project").get(pk=credential.pk)
    _refuse_archived(credential)
    errors: dict[str, list[str]] = {}
    if name is not None:
        credential.name = _clean_name(name, errors)
    moved = False
    if base_url is not None:
        url = _clean_url(base_url, errors)
        moved = url != credential.base_url
        credential.base_url = url
    if api_key:
        key = _clean_key(api_key, errors)
        credential.encrypted_key, credential.last_four = encryption.encrypt(key), _last_four(key)
    elif moved and encryption.decrypt(bytes(credential.encrypted_key)):
        errors.setdefault("api_key", [_("Enter the key again: it will be sent to a different address.")])
    if errors:
        raise Invalid(_("The credential was not saved: please correct what is marked."), errors=errors)
    if moved or api_key:
        credential.tested_at, credential.test_error, credential.offered_models = None, "", []
    _save(credential)
    action = "credential.key_replaced" if api_key else "credential.updated"
    _record(actor, action, credential, host=_host(credential.base_url))
    return credential


@transaction.atomic
def archive_credential(actor: Actor, credential: Credential) -> Credential:
    """Take a credential out of use and destroy its key: this cannot be undone, a new one can be made.

    Raises:
        Conflict: living endpoints use it (code ``in_use``, their slugs in ``endpoints``).
    """
    require(actor, credential.project, Permission.ADMIN)
    credential = Credential.objects.select_for_update(of=("self",)).select_related("project").get(pk=credential.pk)
    if credential.archived_at is not None:
        return credential
    users = list(Endpoint.objects.filter(credential=credential, archived_at=None).values_list("slug", flat=True))
    if users:
        raise Conflict(
            _("These endpoints use this credential: %s. Archive them, or give them another one, first.")
            % ", ".join(users),
            code="in_use",
            endpoints=users,
        )
    credential.archived_at, credential.encrypted_key = timezone.now(), b""
    credential.save(update_fields=["archived_at", "encrypted_key"])
    _record(actor, "credential.archived", credential)
    return credential


def test_credential(actor: Actor, credential: Credential) -> probe.Probe:
    """Ask the provider which models the key may use; note on the credential what came of it.

    Takes as long as the provider does (at most ``probe.TIMEOUT`` seconds); no transaction is open meanwhile.

    Raises:
        Conflict: it is archived.
        Unavailable: its key cannot be decrypted any more.
    """
    require(actor, credential.project, Permission.ADMIN)
    _refuse_archived(credential)
    found = probe.list_models(connection_of(credential))
    noted: dict[str, Any] = {"tested_at": timezone.now(), "test_error": "" if found.works else found.detail}
    if found.works:
        noted["offered_models"] = found.models
    with transaction.atomic():
        Credential.objects.filter(pk=credential.pk).update(**noted)
        _record(actor, "credential.tested", credential, works=found.works)
    credential.refresh_from_db()
    return found


@dataclass(frozen=True)
class Rotation:
    """``unreadable``: names of credentials whose key none of the configured keys decrypts."""

    rotated: int
    unreadable: list[str]


def rotate_keys() -> Rotation:
    """Encrypt every stored key again under the newest of ``ENCRYPTION_KEYS``, one short transaction each."""
    rotated, unreadable = 0, []
    for pk in Credential.objects.exclude(encrypted_key=b"").order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            credential = Credential.objects.select_for_update().get(pk=pk)
            try:
                # Read first: `rotate` and `decrypt` refuse alike, but only one says why.
                encryption.decrypt(bytes(credential.encrypted_key))
            except Unavailable:
                unreadable.append(credential.name)
                continue
            credential.encrypted_key = encryption.rotate(bytes(credential.encrypted_key))
            credential.save(update_fields=["encrypted_key"])
            _record(SYSTEM, "credential.rotated", credential)
            rotated += 1
    return Rotation(rotated, unreadable)


def allowed_providers() -> list[str]:
    """Return the providers that a credential can be for."""
    scripted = [Provider.SCRIPTED.value] if settings.ALLOW_SCRIPTED_PROVIDER else []
    return [Provider.OPENAI.value, Provider.ANTHROPIC.value, *scripted]


def _save(credential: Credential) -> None:
    try:
        with transaction.atomic():
            credential.save()
    except IntegrityError:
        text = _("Another credential has this name.")
        raise Invalid(text, errors={"name": [text]}, code="name_taken") from None


def _clean_name(name: str, errors: dict[str, list[str]]) -> str:
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        errors["name"] = [_("Enter a name of at most %d characters.") % MAX_NAME]
    return name


def _clean_url(url: str, errors: dict[str, list[str]]) -> str:
    url = url.strip()
    if not url:
        return ""
    if len(url) > MAX_URL or not url.isprintable() or " " in url:
        errors["base_url"] = [_("Enter a URL of at most %d characters.") % MAX_URL]
        return ""
    try:
        return egress.check_url(url)
    except Invalid as refusal:
        errors.update(refusal.errors)
        return ""


def _clean_key(key: str, errors: dict[str, list[str]], *, optional: bool = False) -> str:
    """A key travels in an HTTP header, so it is visible ASCII."""
    key = key.strip()
    if not key and not optional:
        errors["api_key"] = [_("Enter the key that the provider gave you.")]
    elif len(key) > MAX_KEY or not all("!" <= character <= "~" for character in key):
        errors["api_key"] = [_("A key has at most %d letters, digits and signs, without spaces.") % MAX_KEY]
    return key


def _last_four(key: str) -> str:
    return key[-SHOWN:] if len(key) >= LEAST_TO_SHOW else ""


def _host(url: str) -> str:
    return urlsplit(url).netloc if url else ""


def _refuse_archived(credential: Credential) -> None:
    if credential.archived_at is not None:
        raise Conflict(_("This credential is archived, and its key destroyed. Make a new one."), code="archived")


def _record(actor: Actor, action: str, credential: Credential, **detail: object) -> None:
    audit.record(
        actor,
        action,
        project_id=credential.project_id,
        target_kind="credential",
        target_id=credential.pk,
        detail=detail,
    )
