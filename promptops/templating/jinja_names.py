"""Finds the variables of a Jinja template: every name that is read and that the template has not defined itself.

Jinja expressions have no local names (no lambdas, no comprehensions), so an expression is scanned, not parsed; only
statements open scopes. The rules are MiniJinja's: `for`, `with`, `macro`, `call` and `block` have a scope of their
own; `if`, `set` blocks, `filter` and `autoescape` have none. A name that only one branch of an `if` defines may be
missing after it, so it is reported, as optional.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .jinja_lexer import Token, tags_of
from .name_use import NameUse
from .sandbox.errors import TEMPLATE_TOO_LARGE, TemplateError
from .sandbox.limits import MAX_USES

# MiniJinja refuses deeper nesting itself.
_MAX_BLOCKS = 150

# Names that are never variables: operators, constants, what the engine defines, its built-in functions.
KEYWORDS = frozenset(["and", "or", "not", "in", "is", "if", "else"])
CONSTANTS = frozenset(["true", "True", "false", "False", "none", "None", "loop", "self"])
FUNCTIONS = frozenset(["range", "dict", "namespace", "cycler", "joiner"])

# What a filter, a method or an operator behind a name says about its type.
_FILTER_TYPES = {
    "array": """batch first groupby join last length list map max min reject rejectattr select selectattr slice sort
    sum
        unique zip chain""",
    "object": "items dictsort",
    "number": "abs round filesizeformat",
    "string": "capitalize indent lower replace split lines title trim truncate upper wordcount wordwrap striptags",
}
_TYPE_OF_FILTER = {name: hint for hint, names in _FILTER_TYPES.items() for name in names.split()}
_STRING_METHODS = frozenset(
    ["capitalize", "endswith", "lower", "lstrip", "replace", "rstrip", "split", "startswith", "strip", "title", "upper"]
)
_ARITHMETIC = frozenset(["+", "-", "*", "/", "//", "**", "%", "<", ">", "<=", ">="])
_STATEMENTS = frozenset(
    ["for", "if", "elif", "else", "set", "with", "macro", "call", "filter", "autoescape", "block", "do"]
)


def uses_in(source: str) -> list[NameUse]:
    """The uses of variables in one template, in the order of the text."""
    return _Analysis().run(source)


@dataclass
class _Scope:
    """Names that are certainly, and names that are perhaps, defined by the template."""

    certain: set[str] = field(default_factory=set)
    perhaps: set[str] = field(default_factory=set)
    is_macro: bool = False


@dataclass
class _Block:
    """An open block statement and what its end has to do."""

    keyword: str
    has_scope: bool = False
    targets: list[str] = field(default_factory=list)
    # Of an `if`: what each branch so far has defined. A branch is a scope while it is open.
    branches: list[_Scope] = field(default_factory=list)
    has_else: bool = False


class _Analysis:
    def __init__(self) -> None:
        self.scopes = [_Scope()]
        self.blocks: list[_Block] = []
        self.uses: list[NameUse] = []
        # Positions in `uses` of names read in a macro's body: it runs later, when more may be defined.
        self.in_macros: list[int] = []

    def run(self, source: str) -> list[NameUse]:
        for tag in tags_of(source):
            if tag.kind == "expression":
                self.read(tag.tokens)
            elif tag.tokens and tag.tokens[0].kind == "name":
                self.statement(tag.tokens[0].text, tag.tokens[1:])
        defined = self.scopes[0].certain | self.scopes[0].perhaps
        for position in self.in_macros:
            use = self.uses[position]
            if use.name in defined:
                self.uses[position] = NameUse(use.name, use.offset, use.type_hint, optional=True)
        return sorted(self.uses, key=lambda use: use.offset)

    # Statements

    def statement(self, keyword: str, tokens: list[Token]) -> None:
        handler = getattr(self, f"{keyword}_", None) if keyword in _STATEMENTS else None
        if handler is not None:
            handler(tokens)
        elif keyword.startswith("end"):
            self.end(keyword.removeprefix("end"))

    def for_(self, tokens: list[Token]) -> None:
        split = _index(tokens, "in")
        if split is None:
            return
        targets, rest = tokens[:split], tokens[split + 1 :]
        if rest and rest[-1].text == "recursive" and len(rest) > 1:
            rest = rest[:-1]
        condition = _index(rest, "if")
        iterated = rest if condition is None else rest[:condition]
        self.read(iterated, hint_first="array")
        self.open(_Block("for", has_scope=True))
        self.define(_names(targets))
        if condition is not None:
            self.read(rest[condition + 1 :])

    def if_(self, tokens: list[Token]) -> None:
        self.read(tokens, hint_first="boolean")
        self.open(_Block("if", has_scope=True))

    def elif_(self, tokens: list[Token]) -> None:
        if self.next_branch():
            self.read(tokens, hint_first="boolean")

    def else_(self, _tokens: list[Token]) -> None:
        if self.blocks and self.blocks[-1].keyword == "for":
            # Runs in the scope around the loop.
            self.end("for")
            self.open(_Block("for"))
        elif self.next_branch():
            self.blocks[-1].has_else = True

    def set_(self, tokens: list[Token]) -> None:
        split = _index(tokens, "=")
        if split is None:
            filters = _index(tokens, "|")
            targets = tokens if filters is None else tokens[:filters]
            self.read([] if filters is None else tokens[filters:])
            self.open(_Block("set", targets=_names(targets)))
        else:
            self.read(tokens[split + 1 :])
            if _index(tokens[:split], ".") is None:
                self.define(_names(tokens[:split]))
            else:
                self.read(tokens[:split])

    def with_(self, tokens: list[Token]) -> None:
        self.open(_Block("with", has_scope=True))
        for assignment in _split(tokens):
            split = _index(assignment, "=")
            if split is not None:
                self.read(assignment[split + 1 :])
                self.define(_names(assignment[:split]))

    def macro_(self, tokens: list[Token]) -> None:
        if not tokens:
            return
        self.define([tokens[0].text])
        self.parameters("macro", _inside(tokens[1:])[0])

    def call_(self, tokens: list[Token]) -> None:
        parameters: list[Token] = []
        if tokens and tokens[0].text == "(":
            parameters, tokens = _inside(tokens)
        self.read(tokens)
        self.parameters("call", parameters)

    def parameters(self, keyword: str, tokens: list[Token]) -> None:
        """Opens the scope of a macro; the defaults of its parameters are read outside of it."""
        names = []
        for parameter in _split(tokens):
            names += _names(parameter[:1])
            self.read(parameter[2:])
        self.open(_Block(keyword, has_scope=True))
        self.scopes[-1].is_macro = True
        self.define([*names, "caller"])

    def filter_(self, tokens: list[Token]) -> None:
        self.read([Token("operator", "|", -1), *tokens])
        self.open(_Block("filter"))

    def autoescape_(self, tokens: list[Token]) -> None:
        self.read(tokens)
        self.open(_Block("autoescape"))

    def block_(self, _tokens: list[Token]) -> None:
        self.open(_Block("block", has_scope=True))
        self.define(["super"])

    def do_(self, tokens: list[Token]) -> None:
        self.read(tokens)

    # Scopes

    def open(self, block: _Block) -> None:
        if len(self.blocks) == _MAX_BLOCKS:
            raise TemplateError(TEMPLATE_TOO_LARGE, f"blocks are nested deeper than {_MAX_BLOCKS}")
        self.blocks.append(block)
        if block.has_scope:
            self.scopes.append(_Scope())

    def end(self, keyword: str) -> None:
        if not any(block.keyword == keyword for block in self.blocks):
            return
        # Blocks that were left open inside end here too.
        while True:
            block = self.blocks.pop()
            self.close(block)
            if block.keyword == keyword:
                return

    def close(self, block: _Block) -> None:
        scope = self.scopes.pop() if block.has_scope else None
        if block.keyword == "if" and scope is not None:
            branches = [*block.branches, scope]
            if block.has_else:
                self.define(set.intersection(*(branch.certain for branch in branches)))
            self.scopes[-1].perhaps.update(*(branch.certain | branch.perhaps for branch in branches))
        self.define(block.targets)

    def next_branch(self) -> bool:
        if not self.blocks or self.blocks[-1].keyword != "if":
            return False
        self.blocks[-1].branches.append(self.scopes[-1])
        self.scopes[-1] = _Scope()
        return True

    def define(self, names: Iterable[str]) -> None:
        self.scopes[-1].certain.update(names)

    # Expressions

    def read(self, tokens: list[Token], hint_first: str | None = None) -> None:
        """Notes the variables of an expression. `hint_first` is the type that its first name has, if nothing says
        more.
        """
        for position, token in enumerate(tokens):
            if token.kind != "name" or not _is_variable(tokens, position):
                continue
            if any(token.text in scope.certain for scope in self.scopes):
                continue
            hint = _type_hint(tokens, position) or (hint_first if position == 0 else None) or "string"
            optional = _copes_with_absence(tokens, position) or any(
                token.text in scope.perhaps for scope in self.scopes
            )
            if any(scope.is_macro for scope in self.scopes):
                self.in_macros.append(len(self.uses))
            if len(self.uses) == MAX_USES:
                raise TemplateError(TEMPLATE_TOO_LARGE, f"variables are used in more than {MAX_USES} places")
            self.uses.append(NameUse(token.text, token.offset, hint, optional))


def _is_variable(tokens: list[Token], position: int) -> bool:
    name = tokens[position].text
    before = tokens[position - 1].text if position else ""
    after = tokens[position + 1].text if position + 1 < len(tokens) else ""
    if name in KEYWORDS or name in CONSTANTS:
        return False
    if before in (".", "|"):
        return False
    if before == "is" or (before == "not" and position > 1 and tokens[position - 2].text == "is"):
        return False
    if after == "(":
        # A value cannot be called: this is a function or a macro, or a mistake that rendering reports.
        return False
    # `name=` is a keyword argument; assignments are not read as expressions.
    return after != "=" and name not in FUNCTIONS


def _type_hint(tokens: list[Token], position: int) -> str | None:
    """What stands behind a name tells its type."""
    after = [token.text for token in tokens[position + 1 : position + 4]]
    match after:
        case [".", method, "("] if method in _STRING_METHODS:
            return "string"
        case [".", *_]:
            return "object"
        case ["[", key, *_]:
            return "object" if key[0] in "\"'" else "array"
        case ["|", name, *_]:
            return _TYPE_OF_FILTER.get(name)
        case [operator, *_] if operator in _ARITHMETIC:
            return "number"
    return None


def _copes_with_absence(tokens: list[Token], position: int) -> bool:
    after = [token.text for token in tokens[position + 1 : position + 4]]
    match after:
        case ["is", "defined" | "undefined", *_] | ["is", "not", "defined" | "undefined"]:
            return True
        case ["|", "default" | "d", *_]:
            return True
    return False


def _names(tokens: list[Token]) -> list[str]:
    return [token.text for token in tokens if token.kind == "name"]


def _index(tokens: list[Token], text: str) -> int | None:
    """Where `text` stands outside of all brackets."""
    depth = 0
    for position, token in enumerate(tokens):
        if depth == 0 and token.text == text:
            return position
        if token.kind == "operator":
            depth += (token.text in "([{") - (token.text in ")]}")
    return None


def _split(tokens: list[Token]) -> list[list[Token]]:
    """The parts between the commas outside of all brackets."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.kind == "operator":
            depth += (token.text in "([{") - (token.text in ")]}")
        if depth == 0 and token.text == ",":
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if part]


def _inside(tokens: list[Token]) -> tuple[list[Token], list[Token]]:
    """The tokens between a leading `(` and its `)`, and those behind."""
    end = _index(tokens[1:], ")")
    return (tokens[1:], []) if end is None else (tokens[1 : end + 1], tokens[end + 2 :])
