"""What lint finds in a prompt, in the reader's language.

``templating`` knows no translations; its codes are stable, so the sentences for people stand here.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from promptops import templating


@dataclass(frozen=True)
class Advice:
    """One observation; ``severity`` is ``error``, ``warning`` or ``info``. Places as in ``templating.Finding``."""

    text: str
    severity: str
    code: str
    message_index: int | None = None
    line: int | None = None
    column: int | None = None


def advice_on(composed: templating.Composed) -> list[Advice]:
    """Return what is likely to go wrong with a prompt, its includes put in, at the places of the prompt itself.

    Raises TemplateError for a template beyond the limits.
    """
    return [
        Advice(_sentence(found), found.severity, found.code, found.message_index, found.line, found.column)
        for found in composed.lint()
    ]


def _sentence(found: templating.Finding) -> str:
    subject = found.subject
    match found.code:
        case "unused_variable":
            return _("“%s” is declared, but no message uses it.") % subject
        case "undeclared_variable":
            return _("“%s” is not declared: callers cannot see what it should be.") % subject
        case "untrusted_in_instructions":
            return _("“%s” comes from outside and stands in instructions, which models obey.") % subject
        case "undelimited_untrusted":
            return _(
                "“%(name)s” comes from outside and is not set apart. Put it between tags such as "
                "<%(name)s>…</%(name)s>, and say that it is material, not instructions."
            ) % {"name": subject}
        case "empty_message":
            return _("This message is empty.")
        case "no_user_message":
            return _("There is no user message, and many models answer only to one.")
        case "vague_instruction":
            return _("“%s” leaves the model to guess; say what you expect.") % subject
        case "missing_output_format":
            return _("There is an output schema, but no message names the format. Not every model is told the schema.")
        case "temperature_with_schema":
            return _("A temperature above 1 makes output that does not follow the schema more likely.")
    return found.message
