"""The JSON shapes of endpoints and credentials. Keys come in and never go out."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Annotated, Literal

from ninja import Field, Schema
from pydantic import SecretStr, StrictInt, WithJsonSchema

from promptops.core.rest import Given, JsonObject, Paging

ProviderName = Literal["openai", "anthropic", "local"]
AnyProvider = Literal["openai", "anthropic", "local", "scripted"]
Amount = Annotated[
    Decimal, WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "examples": ["0.15"]}], "minimum": 0})
]
# An integer is an id, a text is a name: a credential may be named "7".
CredentialChoice = Annotated[
    StrictInt | str, WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}], "title": "Id or name"})
]


class PriceGiven(Given):
    """USD a million tokens. Input and output are given together, or neither: then the price is unknown."""

    input_price: Amount | None = Field(None, examples=[0.15])
    output_price: Amount | None = Field(None, examples=[0.6])
    cached_input_price: Amount | None = Field(None, description="Of input that the provider has in its cache.")
    cache_write_price: Amount | None = Field(None, description="Of input that the provider puts into its cache.")


class Price(Schema):
    """USD a million tokens; null is unknown, which is not 0."""

    input_price: float | None
    output_price: float | None
    cached_input_price: float | None
    cache_write_price: float | None
    limit: int | None = Field(description="Input tokens up to which it holds; the provider charges more above.")
    source: str = Field(
        description="Where it comes from: the version of the price list, `manual`, `local`; empty: unknown.",
        examples=["genai-prices 0.0.30"],
    )
    noted_at: dt.datetime | None


class CredentialRef(Schema):
    id: int
    name: str


class Endpoint(Schema):
    slug: str = Field(description="The name by which runs choose it.", examples=["gpt-4o-mini"])
    name: str
    provider: AnyProvider
    credential: CredentialRef | None
    model_name: str = Field(description="As the provider spells it.", examples=["gpt-4o-mini"])
    description: str = Field(description="The model card.")
    context_window: int | None = Field(description="Tokens; null is unknown.")
    price: Price
    parameters: JsonObject = Field(description="Defaults, under those of the prompt and of the run.")
    default: bool = Field(description="It is used where nobody names one.")
    created_at: dt.datetime
    archived_at: dt.datetime | None


class EndpointGiven(Given):
    slug: str = Field(examples=["gpt-4o-mini"])
    name: str = Field(examples=["GPT-4o mini"])
    provider: ProviderName = Field(
        description="OpenAI-compatible servers are `openai`, with the credential's base_url."
    )
    credential: CredentialChoice | None = Field(
        None, description="The id of a credential, or its name; none for a local model.", examples=["OpenAI"]
    )
    model_name: str = Field(examples=["gpt-4o-mini"])
    description: str = ""
    context_window: int | None = Field(None, description="Tokens; from the price list, where left out.")
    price: PriceGiven | None = Field(
        None, description="From the price list, where left out. An empty object says that it is unknown."
    )
    parameters: JsonObject = Field(default_factory=dict, examples=[{"temperature": 0.2, "max_tokens": 300}])
    default: bool = False


class EndpointChange(Given):
    """What is left out stays. Provider and model name stay anyway: another model is another endpoint."""

    name: str | None = None
    description: str | None = None
    credential: CredentialChoice | None = Field(None, description="The id of a credential, or its name.")
    context_window: int | None = Field(None, description="Tokens; null says that it is unknown.")
    price: PriceGiven | None = Field(None, description="An empty object says that it is unknown.")
    parameters: JsonObject | None = None


class ArchivedFilter(Paging):
    archived: bool = Field(False, description="The archived ones instead of the living ones.")


class Credential(Schema):
    id: int
    name: str
    provider: AnyProvider
    base_url: str = Field(description="Empty: the provider's own address.")
    last_four: str = Field(description="How the key ends. The key itself is never shown.", examples=["x8Qd"])
    endpoints: list[str] = Field(description="The slugs of the living endpoints that use it.")
    created_by: str | None
    created_at: dt.datetime
    tested_at: dt.datetime | None
    test_error: str | None = Field(description="What the last test met; null: it worked, or there was none.")
    archived_at: dt.datetime | None


class CredentialGiven(Given):
    name: str = Field(examples=["OpenAI"])
    provider: Literal["openai", "anthropic"]
    api_key: SecretStr = Field(
        description="Stored encrypted, never shown again. May be empty for a server of your own (with `base_url`)."
    )
    base_url: str = Field(
        "", description="Of an OpenAI-compatible server or a proxy.", examples=["https://models.example.com/v1"]
    )


class CredentialChange(Given):
    """What is left out stays. A new address needs the key again: it will be sent there."""

    name: str | None = None
    api_key: SecretStr | None = None
    base_url: str | None = None


class CredentialTest(Schema):
    """What the provider said to this key, just now."""

    works: bool
    detail: str = Field(description="What it answered, and what to do about it.")
    kind: str = Field(
        description="The kind of failure, in one word; empty when it worked.", examples=["authentication"]
    )
    models: list[str] = Field(description="What the key may use, by name.")
