"""The audit log: who did what to which object, in one hash chain a project and one for the installation (chain 0).

An event is inserted in the transaction of the change that it tells of. Its link is made by a deferred trigger, just
before that transaction commits: only then is the head of the chain locked, so writers do not queue behind each other.
The trigger runs with the owner's rights and the application's role cannot write ``AuditLink``: not even a stolen
application password can rewrite the chain.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

INSTALLATION = 0


class AuditEvent(models.Model):
    """One event. Actor, project and target are ids without foreign keys: the log outlives what it speaks of."""

    id = models.BigAutoField(primary_key=True)
    chain = models.BigIntegerField(_("project, or 0 for the installation"))
    at = models.DateTimeField(_("time"))
    actor_kind = models.CharField(_("actor kind"), max_length=10)
    actor_id = models.BigIntegerField(_("actor"), null=True)
    user_id = models.BigIntegerField(_("user behind the actor"), null=True)
    action = models.CharField(_("action"), max_length=60)
    target_kind = models.CharField(_("object kind"), max_length=40)
    target_id = models.CharField(_("object"), max_length=80)
    payload = models.TextField(_("canonical JSON of all of it, what the hash is over"))

    class Meta:
        verbose_name = _("audit event")
        indexes = [
            models.Index(fields=["chain", "-id"], name="audit_chain_newest"),
            models.Index(fields=["chain", "target_kind", "target_id"], name="audit_target"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target_kind} {self.target_id}"


class AuditLink(models.Model):
    """The place of an event in its chain: ``hash = sha256(previous hash ‖ payload)``. Written by the database alone."""

    event = models.OneToOneField(AuditEvent, on_delete=models.DO_NOTHING, primary_key=True, related_name="link")
    chain = models.BigIntegerField()
    number = models.BigIntegerField()
    previous_hash = models.BinaryField(max_length=32)
    hash = models.BinaryField(max_length=32)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["chain", "number"], name="audit_link_number")]

    def __str__(self) -> str:
        return f"{self.chain}/{self.number}"
