"""The JSON shapes of prompts: what comes in and what goes out. Shape only; the services know what is allowed."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from ninja import Field, Schema
from pydantic import WithJsonSchema

from promptops.core.rest import Given, JsonObject, Paging

MESSAGE_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {
            "title": "Message",
            "type": "object",
            "required": ["content"],
            "properties": {
                "role": {
                    "type": "string",
                    "enum": ["system", "user", "assistant", "tool", "developer"],
                    "description": "Required in a chat prompt, absent in a text prompt.",
                },
                "content": {
                    "description": "A template, or a list of parts of which the text parts are templates.",
                    "anyOf": [
                        {"type": "string"},
                        {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["type"],
                                "properties": {"type": {"type": "string"}, "text": {"type": "string"}},
                            },
                        },
                    ],
                },
            },
        },
        {
            "title": "Placeholder",
            "type": "object",
            "description": "Where a variable that holds a list of messages (a history) is put in.",
            "required": ["type", "name"],
            "properties": {"type": {"const": "placeholder"}, "name": {"type": "string"}},
        },
        {
            "title": "Use",
            "type": "object",
            "description": "Where the messages of another chat prompt are put in.",
            "required": ["type", "prompt"],
            "properties": {
                "type": {"const": "use"},
                "prompt": {"type": "string", "description": "A slug with a label or a version: `greeting@production`."},
            },
        },
    ]
}
VARIABLE_SCHEMA: dict[str, Any] = {
    "title": "Variable",
    "type": "object",
    "properties": {
        "type": {"enum": ["string", "number", "integer", "boolean", "array", "object", "messages"]},
        "required": {"type": "boolean"},
        "default": {},
        "description": {"type": "string"},
        "example": {},
        "max_length": {"type": ["integer", "null"]},
        "untrusted": {"type": "boolean"},
    },
}

Messages = Annotated[list[Any], WithJsonSchema({"type": "array", "items": MESSAGE_SCHEMA})]
Variables = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "additionalProperties": VARIABLE_SCHEMA})]
# The contract of the variables and the messages are checked in one place, `promptops.templating`, for every way in.

SLUG_EXAMPLE = "support-reply"
MESSAGES_EXAMPLE = [
    {"role": "system", "content": "You answer customers of {{ shop }} in two sentences."},
    {"role": "user", "content": "{{ question }}"},
]

Kind = Literal["chat", "text"]
Syntax = Literal["jinja", "mustache", "fstring"]


class SpecGiven(Given):
    """What a version says."""

    messages: Messages = Field(
        description="The templates. A text prompt is one message without a role.", examples=[MESSAGES_EXAMPLE]
    )
    parameters: JsonObject | None = Field(
        None, description="Model parameters, such as temperature.", examples=[{"temperature": 0.2, "max_tokens": 300}]
    )
    variables: Variables | None = Field(
        None,
        description="The contract of the variables, by name.",
        examples=[{"question": {"type": "string", "required": True, "example": "Where is my parcel?"}}],
    )
    output_schema: JsonObject | None = Field(None, description="JSON Schema that an answer has to fit.")
    message: str = Field("", description="Why, for the history.", examples=["First version"])


class PromptGiven(SpecGiven):
    slug: str = Field(description="The name in URLs, unique in the project.", examples=[SLUG_EXAMPLE])
    folder: str = Field("", description="Where it is filed.", examples=["support/email"])
    description: str = ""
    tags: list[str] = Field(default_factory=list)
    kind: Kind = "chat"
    syntax: Syntax = Field("jinja", description="The template language.")


class VersionGiven(SpecGiven):
    kind: Kind | None = Field(None, description="The prompt's; it cannot change.")
    syntax: Syntax | None = Field(None, description="The template language; the newest version's, where left out.")
    expected_head: int | None = Field(
        None, description="The newest version that you know; when there is a newer one, nothing is saved (409)."
    )


class PromptChange(Given):
    """What is left out stays as it is."""

    slug: str | None = Field(None, description="A new name; the old one redirects to it (308).")
    folder: str | None = None
    description: str | None = None
    tags: list[str] | None = None


class PromptFilters(Paging):
    q: str = Field("", max_length=200, description="Words, or any part of the text, in any language.")
    folder: str | None = Field(None, max_length=200, description="A folder and what lies below it.")
    tag: str = Field("", max_length=50)
    kind: Literal["chat", "text", ""] = ""
    archived: bool = Field(False, description="The archived prompts instead of the living ones.")


class Prompt(Schema):
    slug: str = Field(examples=[SLUG_EXAMPLE])
    folder: str
    description: str
    tags: list[str]
    kind: Kind
    latest_version: int = Field(description="The number of the newest version.")
    labels: dict[str, int] = Field(description="Which version each label stands at.", examples=[{"production": 3}])
    created_at: dt.datetime
    updated_at: dt.datetime
    archived_at: dt.datetime | None


class VersionHead(Schema):
    """A version in the history, without its text."""

    prompt: str = Field(examples=[SLUG_EXAMPLE])
    version: int = Field(examples=[3])
    parent: int | None = Field(description="The version that it follows.")
    message: str
    author: str
    created_at: dt.datetime
    labels: list[str] = Field(description="The labels that stand at it now.")
    sha256: str = Field(description="SHA-256 (hex) over the canonical JSON (RFC 8785) of the content.")


class Version(VersionHead):
    kind: Kind
    syntax: Syntax
    messages: Messages
    parameters: JsonObject
    variables: Variables
    output_schema: JsonObject | None


class Included(Schema):
    """A version that is part of another prompt."""

    reference: str = Field(description="As it is written there.", examples=["greeting@production"])
    prompt: str = Field(description="Its slug now.", examples=["greeting"])
    version: int = Field(examples=[3])
    label: str | None = Field(description="The label by which it is included; null where a version is.")


class Dependent(Schema):
    """A version that includes a prompt, and stands under a label or is the newest of its own."""

    prompt: str = Field(examples=[SLUG_EXAMPLE])
    version: int = Field(examples=[3])
    labels: list[str] = Field(description="The labels that stand at it.", examples=[["production"]])
    newest: bool = Field(description="Whether it is the newest version of its prompt.")
    references: list[str] = Field(
        description="How it includes the prompt itself; empty where it does so through others.",
        examples=[["greeting@production"]],
    )
    depth: int = Field(description="1: itself; 2: through one other prompt; and so on.")
    runs_7_days: int = Field(description="Ended runs of its prompt in the last seven days.")


class Served(Schema):
    """What a service needs in order to make its own call."""

    prompt: str = Field(examples=[SLUG_EXAMPLE])
    version: int = Field(examples=[3])
    label: str | None = Field(description="The label that was asked for; null where a version was.")
    kind: Kind
    syntax: Syntax
    messages: Messages = Field(examples=[MESSAGES_EXAMPLE])
    parameters: JsonObject
    variables: Variables
    output_schema: JsonObject | None
    sha256: str = Field(description="Of the content, as it was written.")
    closure_sha256: str = Field(description="Of the content and of all that it includes, as labels stand now.")
    includes: list[Included] = Field(description="Every prompt that is included, directly or by another one.")


class Label(Schema):
    label: str = Field(examples=["production"])
    version: int | None = Field(description="The version it stands at; null after it was taken off.")
    moved_at: dt.datetime


class LabelMoveGiven(Given):
    version: int = Field(examples=[3])
    reason: str = Field("", description="Why, for the history.", examples=["Shorter answers, approved by Support"])
    expected: int | None = Field(
        None, description="Where you saw the label stand (0: nowhere); when it stands elsewhere, nothing happens (409)."
    )


class RollbackGiven(Given):
    version: int | None = Field(None, description="A version that stood under the label; the one before by default.")
    reason: str = ""
    expected: int | None = Field(None, description="As in moving: where you saw the label stand.")


class LabelMove(Schema):
    at: dt.datetime
    from_version: int | None
    to_version: int | None
    authority: str = Field(description="By what right it moved.", examples=["direct"])
    reason: str
    by: str = Field(description="Who moved it.")


class DraftGiven(Given):
    prompt: str | None = Field(None, description="The prompt to be edited; left out for one that does not exist yet.")
    content: JsonObject | None = Field(None, description="The fields of a version; may be incomplete.")
    heading: JsonObject | None = Field(None, description="slug, folder, description, tags, message: for a new prompt.")


class DraftChange(Given):
    revision: int = Field(
        ge=0, description="The revision that you edited; a stale one is refused with both texts (409)."
    )
    content: JsonObject
    heading: JsonObject | None = None


class DraftCommit(Given):
    revision: int = Field(ge=0)
    message: str = ""


class DraftRebase(Given):
    version: int = Field(description="The version that you have seen, and that the draft shall follow.")
    revision: int | None = Field(None, ge=0, description="The revision that you have; a stale one is refused (409).")


class Draft(Schema):
    id: int
    prompt: str | None
    base_version: int | None
    branch: str
    revision: int
    content: JsonObject
    heading: JsonObject
    updated_at: dt.datetime


class RenderGiven(Given):
    prompt: str = Field(examples=[SLUG_EXAMPLE])
    label: str | None = Field(None, description="production, where neither label nor version is given.")
    version: int | None = None
    variables: JsonObject = Field(
        default_factory=dict, examples=[{"shop": "Paper & Pen", "question": "Open on Sunday?"}]
    )


class Rendered(Schema):
    prompt: str
    version: int
    messages: Messages
