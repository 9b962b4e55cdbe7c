"""The card of the embedded model, in our own words: what it is, what it is for, what it cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from promptops.engines.local_model import EMBEDDED_MODEL


@dataclass(frozen=True)
class Card:
    """A model that an endpoint can be made of. ``context_window`` is in tokens."""

    slug: str
    name: str
    model_name: str
    context_window: int
    card: str
    parameters: Mapping[str, object] = field(default_factory=dict)


EMBEDDED = Card(
    slug="smollm2-135m",
    name="SmolLM2 135M Instruct",
    model_name=EMBEDDED_MODEL,
    context_window=8192,
    parameters=MappingProxyType({"temperature": 0.2, "max_tokens": 160}),
    card="""\
A very small instruction-tuned language model that runs inside this installation: on the processor, or on a GPU where \
there is one. No key, no account, and no text leaves the machine.

Made by: Hugging Face (HuggingFaceTB), 2024. Licence: Apache-2.0.
Size: 135 million parameters, 30 layers, vocabulary of 49,152 tokens. Context: 8,192 tokens. Language: English.

Good for: trying the product out; developing and testing templates, variables, versions, labels and pipelines; short \
summaries and rewrites; first drafts; measuring how a system behaves under load.

Not for: facts, arithmetic, code, other languages, long documents, or decisions about people. It is some hundred times \
smaller than the models that people know from chat products: it repeats itself, invents things, and follows a format \
only when the prompt shows it an example. Let nobody act on its answers without checking them.

Advice: keep prompts short, show one or two examples, use a low temperature, and limit the answer's length.""",
)
