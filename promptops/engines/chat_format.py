"""From chat messages to a local model's tokens, without torch: the tokenizer and the chat template of its folder.

The engine and the token counter share it, so what is counted before a run is exactly what the run uses.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import minijinja
from tokenizers import Tokenizer

from promptops.engines.types import EngineError, ErrorKind, JsonObject

DEFAULT_CONTEXT_LENGTH = 2048
"""Of a model whose configuration does not say."""

ROLES = {"developer": "system"}


@dataclass(frozen=True)
class ChatFormat:
    """The tokenizer of a local model, and how it wants a chat written."""

    tokenizer: Tokenizer
    template: str | None
    special_tokens: dict[str, str]
    end_ids: frozenset[int]
    """Tokens that end an answer."""
    context_length: int
    """Tokens of prompt and answer together."""
    marks: re.Pattern[str]
    """The special tokens as texts, such as <|im_end|>."""

    def prompt(self, messages: Sequence[JsonObject]) -> str:
        """The prompt's text up to where the answer begins. A model without a template gets the plain texts.

        Raises `EngineError(bad_request)` for messages that the template refuses or that are not text.
        """
        plain = [{**message, "role": _role(message), "content": _text(message)} for message in messages]
        if self.template is None:
            return "\n".join(message["content"] for message in plain)
        environment = minijinja.Environment(templates={"chat": self.template}, pycompat=True)
        environment.trim_blocks = True
        environment.lstrip_blocks = True
        environment.add_function("raise_exception", _refuse)  # type: ignore[attr-defined]  # the stubs lack it
        try:
            return environment.render_template(
                "chat", messages=plain, add_generation_prompt=True, **self.special_tokens
            )
        except minijinja.TemplateError as error:
            raise EngineError(
                ErrorKind.BAD_REQUEST, f"The model's chat template refuses the messages: {error}"
            ) from None

    def prompt_ids(self, messages: Sequence[JsonObject]) -> list[int]:
        """The prompt's tokens. Raises like `prompt`.

        Only the template can write the marks of the format: `<|im_end|>` in a message stays text, so nobody's text can
        pass itself off as another message.
        """
        nonce = secrets.token_hex(8)
        spelled: list[str] = []

        def stand_in(mark: re.Match[str]) -> str:
            spelled.append(mark.group())
            return f"\ue000{nonce}-{len(spelled) - 1}\ue001"

        hidden = [{**message, "content": self.marks.sub(stand_in, _text(message))} for message in messages]
        pieces = re.split(f"\ue000{nonce}-(\\d+)\ue001", self.prompt(hidden))
        ids = list(self.tokenizer.encode(pieces[0], add_special_tokens=self.template is None).ids)
        for number, rest in zip(pieces[1::2], pieces[2::2], strict=True):
            for character in spelled[int(number)]:
                ids += self.tokenizer.encode(character, add_special_tokens=False).ids
            ids += self.tokenizer.encode(rest, add_special_tokens=False).ids
        return ids


def load_chat_format(model_dir: Path) -> ChatFormat:
    """The folder's chat format, read once. Raises `EngineError(unavailable)` where there is no tokenizer."""
    return _load(model_dir.resolve())


def prompt_token_count(model_dir: Path, messages: Sequence[JsonObject]) -> int | None:
    """Tokens of the rendered prompt; None where the model's folder has no tokenizer (it is not converted yet)."""
    try:
        return len(load_chat_format(model_dir).prompt_ids(messages))
    except EngineError as error:
        if error.kind == ErrorKind.UNAVAILABLE:
            return None
        raise


def text_counter(model_dir: Path) -> Callable[[str], int] | None:
    """What counts the tokens of a plain text; None where the model's folder has no tokenizer."""
    try:
        tokenizer = load_chat_format(model_dir).tokenizer
    except EngineError:
        return None
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


@lru_cache(maxsize=8)
def _load(model_dir: Path) -> ChatFormat:
    path = model_dir / "tokenizer.json"
    if not path.is_file():
        raise EngineError(ErrorKind.UNAVAILABLE, f"The local model {model_dir.name!r} has no tokenizer.json.")
    configuration = _json(model_dir / "tokenizer_config.json")
    separate = model_dir / "chat_template.jinja"
    template = separate.read_text(encoding="utf-8") if separate.is_file() else configuration.get("chat_template")
    ends = (_json(model_dir / name).get("eos_token_id") for name in ("config.json", "generation_config.json"))
    tokenizer = Tokenizer.from_file(str(path))
    marks = sorted((token.content for token in tokenizer.get_added_tokens_decoder().values()), key=len, reverse=True)
    return ChatFormat(
        tokenizer=tokenizer,
        template=template,
        marks=re.compile("|".join(map(re.escape, marks)) or "(?!)"),
        special_tokens={
            name: token if isinstance(token, str) else token["content"]
            for name in ("bos_token", "eos_token", "unk_token", "pad_token")
            if (token := configuration.get(name))
        },
        context_length=int(_json(model_dir / "config.json").get("max_position_embeddings", DEFAULT_CONTEXT_LENGTH)),
        end_ids=frozenset(
            number for end in ends if end is not None for number in ([end] if isinstance(end, int) else end)
        ),
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return value


def _role(message: JsonObject) -> str:
    role = str(message.get("role") or "user")
    return ROLES.get(role, role)


def _text(message: JsonObject) -> str:
    content = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    texts = []
    for part in content:
        if not isinstance(part, dict) or not isinstance(part.get("text"), str):
            raise EngineError(
                ErrorKind.BAD_REQUEST, "This local model reads text only; a message holds something else."
            )
        texts.append(part["text"])
    return "".join(texts)


def _refuse(message: str) -> str:
    raise minijinja.TemplateError(message)
