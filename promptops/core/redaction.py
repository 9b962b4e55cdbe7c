"""Keeps secrets out of the logs, whoever logs them."""

import logging
import re

_SECRET = re.compile(
    r"(?P<keep>\b(?:Bearer|Basic)\s+|/(?:link|invitations)/|://[^\s:/@]*:|(?:api[_-]?key|password|secret|token)[\"']?\s*[=:]\s*[\"']?)"
    r"(?P<secret>[^\s\"'@,;&)}\]]{6,})"
    r"|\b(?P<key>(?:sk|pk|po|whsec)[-_][A-Za-z0-9_-]{12,})",
    re.IGNORECASE,
)
_PLAIN = logging.Formatter()


class RedactSecrets(logging.Filter):
    """Replaces what looks like a key, a token or a password of a URL in every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        redacted = redact(message)
        if redacted != message:
            record.msg, record.args = redacted, None
        if record.exc_info:
            # A traceback ends with what the error says. The formatter takes the text that is there.
            record.exc_text = redact(record.exc_text or _PLAIN.formatException(record.exc_info))
        return True


def redact(text: str) -> str:
    """`text` with every secret-looking part replaced by three dots."""
    return _SECRET.sub(lambda match: f"{match['keep'] or ''}•••", text)
