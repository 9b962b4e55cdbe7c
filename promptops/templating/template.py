"""A prompt template as data, and where its texts are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .sandbox.errors import SYNTAX, TEMPLATE_TOO_LARGE, TemplateError
from .sandbox.limits import MAX_TEMPLATE_BYTES

JsonObject = dict[str, Any]
Kind = Literal["chat", "text"]
Syntax = Literal["jinja", "mustache", "fstring"]

KINDS = ("chat", "text")
SYNTAXES = ("jinja", "mustache", "fstring")
ROLES = ("system", "user", "assistant", "tool", "developer")


@dataclass(frozen=True)
class Template:
    """A prompt that can be rendered.

    `messages` are JSON objects: `{"role": …, "content": str | [parts]}`, or `{"type": "placeholder", "name": …}`
    where a list of messages is to be inserted, or `{"type": "use", "prompt": …}` where another prompt's messages are
    (`composition.compose` puts them in before rendering). A text prompt is one `{"content": str}`. `variables` is the
    contract: a name to `{"type", "required", "default", "description", "example", "max_length", "untrusted"}`, all
    optional.
    """

    kind: Kind
    syntax: Syntax
    messages: Sequence[JsonObject]
    variables: Mapping[str, JsonObject] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Text:
    """One text of a template that is rendered: a message's content, or one text part of it."""

    message_index: int
    part_index: int | None
    source: str


def texts_of(messages: Sequence[Any]) -> Iterator[Text]:
    """The texts of the messages, in order. Malformed messages are passed over: drafts may hold them."""
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or is_placeholder(message) or is_use(message):
            continue
        content = message.get("content")
        if isinstance(content, str):
            yield Text(index, None, content)
        elif isinstance(content, list):
            for part_index, part in enumerate(content):
                if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
                    yield Text(index, part_index, part["text"])


def check_size(messages: Sequence[Any]) -> None:
    """Raises `TemplateError` when the texts are larger than the limit, or are no text at all."""
    left = MAX_TEMPLATE_BYTES
    for text in texts_of(messages):
        # UTF-8 has at least a byte a character: most of what is too large isn't even encoded.
        left -= len(text.source)
        if left >= 0:
            try:
                left -= len(text.source.encode()) - len(text.source)
            except UnicodeEncodeError:
                raise TemplateError(
                    SYNTAX, "half of a surrogate pair is not text", message_index=text.message_index
                ) from None
        if left < 0:
            raise TemplateError(
                TEMPLATE_TOO_LARGE,
                f"the template is larger than {MAX_TEMPLATE_BYTES} bytes",
                message_index=text.message_index,
            )


def is_placeholder(message: Mapping[str, Any]) -> bool:
    return message.get("type") == "placeholder"


def is_use(message: Any) -> bool:
    """Whether the messages of another prompt stand here; False for what is no message at all, as drafts may hold."""
    return isinstance(message, Mapping) and message.get("type") == "use"


def placeholders_of(messages: Sequence[Any]) -> Iterator[tuple[int, str]]:
    """The index and the variable of every placeholder message."""
    for index, message in enumerate(messages):
        if isinstance(message, dict) and is_placeholder(message) and isinstance(message.get("name"), str):
            yield index, message["name"]


def message_errors(message: Any, *, role_required: bool = True) -> Iterator[tuple[str, str]]:
    """What is wrong with the shape of one message: (path below the message, what), none for a good one."""
    if not isinstance(message, dict):
        yield "", "must be an object"
        return
    role = message.get("role")
    if role_required or role is not None:
        if role is None:
            yield "role", "is missing"
        elif role not in ROLES:
            yield "role", f"must be one of {', '.join(ROLES)}"
    content = message.get("content")
    if isinstance(content, list):
        for index, part in enumerate(content):
            yield from ((f"content.{index}{path}", what) for path, what in _part_errors(part))
    elif content is None:
        # An assistant's message may consist of tool calls only.
        if not message.get("tool_calls"):
            yield "content", "is missing"
    elif not isinstance(content, str):
        yield "content", "must be text or a list of parts"


def _part_errors(part: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(part, dict):
        yield "", "must be an object"
    elif not isinstance(part.get("type"), str) or not part["type"]:
        yield ".type", "is missing"
    elif not isinstance(part.get("text", "" if part["type"] != "text" else None), str):
        yield ".text", "must be text"
