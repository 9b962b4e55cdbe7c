"""From an endpoint to what an engine needs to call it.

Keys are decrypted here: only workers, and the test of a credential, come this way.
"""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext as _

from promptops.catalog.models import Credential, Endpoint, Provider
from promptops.core import egress, encryption
from promptops.core.errors import Unavailable
from promptops.engines import Connection


def connection_for(endpoint: Endpoint) -> Connection:
    """Return how to reach an endpoint's provider. Equal endpoints give equal connections, so engines can be shared.

    Raises:
        Unavailable: the credential is archived, or was encrypted under a key that is gone.
    """
    if endpoint.provider == Provider.LOCAL:
        return Connection(provider=endpoint.provider, model_dir=settings.LOCAL_MODELS_DIR / endpoint.model_folder)
    if endpoint.credential is None:
        return Connection(provider=endpoint.provider, check_address=egress.check_address)
    return connection_of(endpoint.credential)


def connection_of(credential: Credential) -> Connection:
    """Return how to reach a credential's provider, with its key. Raises Unavailable, as ``connection_for``."""
    if not credential.is_live:
        raise Unavailable(
            _("The credential “%s” of this endpoint is archived. Give the endpoint another one.") % credential.name,
            code="credential_archived",
        )
    return Connection(
        provider=credential.provider,
        api_key=encryption.decrypt(bytes(credential.encrypted_key)),
        base_url=credential.base_url or None,
        check_address=egress.check_address,
    )
