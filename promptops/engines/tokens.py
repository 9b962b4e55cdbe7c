"""Counting the tokens of a prompt before it is sent.

Exact for a local model (its own tokenizer) and for OpenAI models where the encoding's data lies in
`TIKTOKEN_CACHE_DIR` (tiktoken would download it otherwise, and counting must never open a connection). Everywhere
else an estimate, marked so.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from promptops.engines.types import JsonObject, TokenCount

if TYPE_CHECKING:
    import tiktoken

MESSAGE_OVERHEAD = 4
"""Tokens around each message in the usual chat formats (role, separators)."""

REPLY_OVERHEAD = 3
"""Tokens that open the assistant's reply."""

IMAGE_TOKENS = 765
"""A middle-sized picture at OpenAI's high detail; providers count by size, which is unknown here."""

ENCODING_FILES = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}
"""SHA-256 of tiktoken's data files: it would fetch a file anew whose digest differs."""


def count_tokens(
    provider: str, model_name: str, messages: Sequence[JsonObject], *, model_dir: Path | None = None
) -> TokenCount:
    """Tokens of a rendered prompt for a model. `model_dir`: the converted local model (provider "local")."""
    if provider == "local" and model_dir is not None:
        from promptops.engines.chat_format import prompt_token_count

        counted = prompt_token_count(model_dir, messages)
        if counted is not None:
            return TokenCount(counted, estimated=False)
    if provider == "openai" and (encoding := _encoding_for(model_name)) is not None:
        return TokenCount(_count_with(encoding, messages), estimated=False)
    return TokenCount(estimate_prompt(messages), estimated=True)


def count_texts(
    provider: str, model_name: str, messages: Sequence[JsonObject], *, model_dir: Path | None = None
) -> list[int]:
    """Tokens of each message's own texts and pictures, without what the chat format puts around them: their sum is
    below `count_tokens`. Exact where that is, else estimates.
    """
    count: Callable[[str], int] = estimate_text
    if provider == "local" and model_dir is not None:
        from promptops.engines.chat_format import text_counter

        count = text_counter(model_dir) or count
    elif provider == "openai" and (encoding := _encoding_for(model_name)) is not None:
        count = _counter_of(encoding)
    return [sum(map(count, message_texts(message))) + _picture_tokens(message) for message in messages]


def estimate_prompt(messages: Sequence[JsonObject]) -> int:
    """Estimated tokens of a chat prompt."""
    texts = sum(estimate_text(text) for message in messages for text in message_texts(message))
    return texts + sum(map(_picture_tokens, messages)) + MESSAGE_OVERHEAD * len(messages) + REPLY_OVERHEAD


def estimate_text(text: str) -> int:
    """Estimated tokens of a text: four ASCII characters a token; three UTF-8 bytes a token for the rest.

    Within about 20 % for English and Chinese on the tokenizers in use today.
    """
    if not text:
        return 0
    ascii_characters = sum(1 for character in text if character < "\x80")
    other_bytes = len(text.encode("utf-8", "surrogatepass")) - ascii_characters
    return max(1, ceil(ascii_characters / 4 + other_bytes / 3))


def message_texts(message: JsonObject) -> Iterable[str]:
    """The texts of one message, whether its content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        yield content
    for part in _parts(message):
        if isinstance(part.get("text"), str):
            yield part["text"]
    if message.get("tool_calls"):
        yield json.dumps(message["tool_calls"], ensure_ascii=False)


def _picture_tokens(message: JsonObject) -> int:
    return sum(IMAGE_TOKENS for part in _parts(message) if part.get("type") != "text")


def _parts(message: JsonObject) -> Iterable[JsonObject]:
    content = message.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _count_with(encoding: tiktoken.Encoding, messages: Sequence[JsonObject]) -> int:
    counted = sum(_counter_of(encoding)(text) for message in messages for text in message_texts(message))
    return counted + MESSAGE_OVERHEAD * len(messages) + REPLY_OVERHEAD


def _counter_of(encoding: tiktoken.Encoding) -> Callable[[str], int]:
    return lambda text: len(encoding.encode(text, disallowed_special=()))


def _encoding_for(model_name: str) -> tiktoken.Encoding | None:
    folder = os.environ.get("TIKTOKEN_CACHE_DIR")
    if not folder:
        return None
    from tiktoken.model import encoding_name_for_model

    try:
        return _load_encoding(encoding_name_for_model(model_name), folder)
    except KeyError:
        return None


@lru_cache(maxsize=4)
def _load_encoding(name: str, folder: str) -> tiktoken.Encoding | None:
    import tiktoken

    address = f"https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
    path = Path(folder) / hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != ENCODING_FILES.get(name):
        return None
    return tiktoken.get_encoding(name)
