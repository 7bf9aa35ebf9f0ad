"""Runs scripts in the language of RouterOS, as far as our agent uses it.

No RouterOS runs here: this is our reading of its manual (help.mikrotik.com, "Scripting"), so that the agent's logic can
be run against the real service. What it does not know it refuses, and it is as strict as the manual: a variable must be
declared where it is used, a global one in each script.
"""

import operator
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TIME_PART = re.compile(r"(\d+)([wdhms])")
CLOCK = re.compile(r"(?:(\d+)d)?(\d\d):(\d\d):(\d\d)$")
UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
WORD = re.compile(r"[\w.\-/@,:]+")
COMMAND = re.compile(r"[:/]?[\w\-/]+")
PAIR = re.compile(r"([\w\-]+)=(?!=)")
NAME = re.compile(r"\w+")
ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.floordiv,
}
OPERATORS = (("||", "&&"), ("=", "!=", "<", ">", "<=", ">="), (".",), ("+", "-"), ("*", "/"))
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$", "?": "?"}


class ScriptError(Exception):
    """An error that a script can catch, with the text that `:onerror` gives."""


class Time(int):
    """Whole seconds, written as RouterOS does: 1w2d03:04:05."""

    def __str__(self) -> str:
        weeks, rest = divmod(int(self), UNITS["w"])
        days, rest = divmod(rest, UNITS["d"])
        clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
        return (f"{weeks}w" if weeks else "") + (f"{days}d" if days else "") + clock

    @classmethod
    def parse(cls, text: str) -> "Time | None":
        if clock := CLOCK.match(text):
            days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
            return cls(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
        if text and TIME_PART.sub("", text) == "":
            return cls(sum(int(count) * UNITS[unit] for count, unit in TIME_PART.findall(text)))
        return None


@dataclass
class Block:
    """Code in braces, run in the scope where it stands."""

    source: str


Scope = dict[str, Any]


@dataclass
class Router:
    """Global variables, scripts, and what its commands do. `commands`: by path, `ping`, `tool fetch`, …"""

    commands: dict[str, Callable[..., Any]]
    globals: Scope = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)

    def run(self, source: str) -> Any:
        """Run a script; return what it returns. Raises ScriptError."""
        try:
            Run(self, source, [{}]).block()
        except Returned as returned:
            return returned.value
        return None


class Returned(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


GLOBAL = object()


class Run:
    """One pass over a source: parsing and running are one, as in the console."""

    def __init__(self, router: Router, source: str, scopes: list[Scope]) -> None:
        self.router, self.text, self.at, self.scopes = router, source, 0, scopes

    # --- text ---

    def peek(self, length: int = 1) -> str:
        return self.text[self.at : self.at + length]

    def skip(self, *, lines: bool = False) -> None:
        while self.at < len(self.text):
            if self.peek() in " \t" or (lines and self.peek() in "\r\n;"):
                self.at += 1
            elif self.peek(2) == "\\\n":
                self.at += 2
            elif lines and self.peek() == "#":
                self.at = (self.text.find("\n", self.at) + 1) or len(self.text)
            else:
                return

    def take(self, expected: str) -> None:
        self.skip()
        here = self.text[self.at - 40 : self.at + 60]
        assert self.text.startswith(expected, self.at), f"{expected} expected: {here!r}"
        self.at += len(expected)

    def match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        assert found, self.text[self.at - 40 : self.at + 60]
        self.at = found.end()
        return found[0]

    def braces(self) -> str:
        """Return what stands in the braces that begin here, and go behind them."""
        start, depth = self.at, 0
        while True:
            here = self.peek()
            assert here, f"no end: {self.text[start : start + 60]!r}"
            if here == '"':
                self.pass_string()
                continue
            if here == "#" and self.text[: self.at].rpartition("\n")[2].strip() == "":
                self.at = self.text.index("\n", self.at)
            depth += {"{": 1, "}": -1}.get(here, 0)
            self.at += 1
            if depth == 0:
                return self.text[start + 1 : self.at - 1]

    def pass_string(self) -> None:
        self.at += 1
        while self.peek() != '"':
            assert self.peek(), "a string without an end"
            if self.peek() == "\\":
                self.at += 2
            elif self.peek(2) in {"$[", "$("}:
                self.at += 1
                self.pass_brackets()
            else:
                self.at += 1
        self.at += 1

    def pass_brackets(self) -> None:
        depth = 0
        while True:
            if self.peek() == '"':
                self.pass_string()
                continue
            depth += {"[": 1, "(": 1, "]": -1, ")": -1}.get(self.peek(), 0)
            self.at += 1
            if depth == 0:
                return

    # --- statements ---

    def block(self) -> Any:
        result = None
        while True:
            self.skip(lines=True)
            if self.at >= len(self.text):
                return result
            result = self.statement("")

    def statement(self, end: str) -> Any:
        """Run one command up to the end of the line, or to the bracket that encloses it."""
        if self.peek() == "$":
            called = self.value()
            assert isinstance(called, Block), called
            return self.inside(called, new=True)
        words = [self.match(COMMAND)]
        if words == [":while"]:
            self.skip()
            return self.repeat()
        self.skip()
        if words == [":set"] and self.peek() == "(":
            return self.set_element()
        positional: list[Any] = []
        named: dict[str, Any] = {}
        while self.peek() not in {"", "\n", ";", "}"} and not (end and self.peek() == end):
            if pair := PAIR.match(self.text, self.at):
                self.at = pair.end()
                named[pair[1]] = self.argument(pair[1], words[0])
            elif not named and self.is_word(words, positional):
                words.append(self.match(WORD))
            elif words == [":do"]:
                positional.append(Block(self.braces()))
            else:
                positional.append(self.value())
            self.skip()
        return self.command(words, positional, named)

    def is_word(self, words: list[str], positional: list[Any]) -> bool:
        """Whether what stands here belongs to the command's path, or is the name that it declares."""
        if words[0].startswith(":"):
            return words[0] in NAMING and len(words) == 1
        return not positional and self.peek().isalpha()

    def argument(self, name: str, command: str) -> Any:
        is_code = name in {"do", "else", "on-error", "source"} or (name, command) == ("in", ":onerror")
        return Block(self.braces()) if is_code else self.value()

    def inside(self, block: Block, variables: Scope | None = None, *, new: bool = False) -> Any:
        scopes = [{}] if new else [*self.scopes, variables or {}]
        try:
            return Run(self.router, block.source, scopes).block()
        except Returned as returned:
            if new:
                return returned.value
            raise

    # --- values ---

    def value(self) -> Any:
        """An operand, with what is picked out of it by `->`."""
        found = self.operand()
        while self.peek(2) == "->":
            self.at += 2
            key = self.operand()
            found = found[key] if isinstance(found, list) else (found or {}).get(key)
        return found

    def operand(self) -> Any:
        here = self.peek()
        if here == '"':
            return self.string()
        if here == "(":
            self.at += 1
            found = self.expression()
            self.take(")")
            return found
        if here == "[":
            self.at += 1
            self.skip()
            found = self.statement("]")
            self.take("]")
            return found
        if here == "{":
            return self.array()
        if here == "$":
            self.at += 1
            return self.lookup(self.match(NAME))
        return literal(self.match(WORD))

    def string(self) -> str:
        parts, self.at = [], self.at + 1
        while self.peek() != '"':
            here = self.peek()
            assert here, "a string without an end"
            self.at += 1
            if here == "\\":
                hexadecimal = re.compile(r"[0-9A-F]{2}").match(self.text, self.at)
                parts.append(chr(int(hexadecimal[0], 16)) if hexadecimal else ESCAPES[self.peek()])
                self.at += 2 if hexadecimal else 1
            elif here == "$" and self.peek() in "[(":
                parts.append(to_text(self.operand()))
            elif here == "$":
                parts.append(to_text(self.lookup(self.match(NAME))))
            else:
                parts.append(here)
        self.at += 1
        return "".join(parts)

    def array(self) -> list[Any]:
        inner = Run(self.router, self.braces(), self.scopes)
        items: list[Any] = []
        while True:
            inner.skip(lines=True)
            if inner.at >= len(inner.text):
                return items
            items.append(inner.value())

    def expression(self, level: int = 0) -> Any:
        self.skip()
        if level == len(OPERATORS):
            if self.peek() == "!":
                self.at += 1
                return not self.expression(level)
            return self.value()
        left = self.expression(level + 1)
        while sign := self.sign(level):
            left = combine(sign, left, self.expression(level + 1))
        return left

    def sign(self, level: int) -> str | None:
        self.skip()
        for found in sorted(OPERATORS[level], key=len, reverse=True):
            if self.text.startswith(found, self.at):
                self.at += len(found)
                return found
        return None

    def lookup(self, name: str) -> Any:
        for scope in reversed(self.scopes):
            if name in scope:
                return self.router.globals.get(name) if scope[name] is GLOBAL else scope[name]
        raise AssertionError(f"${name} is not declared here")

    # --- commands ---

    def command(self, words: list[str], positional: list[Any], named: dict[str, Any]) -> Any:
        head, *rest = words
        if not head.startswith(":"):
            path = " ".join(" ".join(words).replace("/", " ").split())
            return self.router.commands[path](*positional, **named)
        if head in PURE:
            return PURE[head](*positional, **named)
        assert head in CONTROL, head
        return getattr(self, f"_{head[1:]}")(*rest, *positional, **named)

    def _local(self, name: str, value: Any = None) -> None:
        self.scopes[-1][name] = value

    def _global(self, name: str, *value: Any) -> None:
        self.scopes[-1][name] = GLOBAL
        if value:
            self.router.globals[name] = value[0]

    def _set(self, name: str, value: Any = None) -> None:
        for scope in reversed(self.scopes):
            if name in scope:
                target = self.router.globals if scope[name] is GLOBAL else scope
                target[name] = value
                return
        raise AssertionError(f"{name} is set but not declared here")

    def set_element(self) -> None:
        """`:set ($array->index) value`: an index as large as the array appends."""
        self.take("(")
        items = self.operand()
        self.take("->")
        index = self.operand()
        self.take(")")
        self.skip()
        items[index:] = [self.value(), *items[index + 1 :]]

    def repeat(self) -> None:
        """`:while (condition) do={…}`: the condition is read each time."""
        start, going = self.at, True
        while going:
            self.at = start
            going = self.value() is True
            self.take("do=")
            body = Block(self.braces())
            if going:
                self.inside(body)

    def _if(self, condition: bool, do: Block, **otherwise: Block) -> None:
        assert isinstance(condition, bool), condition
        if condition:
            self.inside(do)
        elif otherwise:
            self.inside(otherwise["else"])

    def _foreach(self, name: str, do: Block, **items: Any) -> None:
        for item in list(items["in"]):
            self.inside(do, {name: item})

    def _for(self, name: str, do: Block, to: int, **start: int) -> None:
        for number in range(start["from"], to + 1):
            self.inside(do, {name: number})

    def _do(self, body: Block, **handler: Block) -> None:
        try:
            self.inside(body)
        except ScriptError:
            if not handler:
                raise
            self.inside(handler["on-error"])

    def _onerror(self, name: str, do: Block, **tried: Block) -> None:
        try:
            self.inside(tried["in"])
        except ScriptError as error:
            self.inside(do, {name: str(error)})

    def _error(self, message: str) -> None:
        raise ScriptError(message)

    def _return(self, value: Any) -> None:
        raise Returned(value)

    def _put(self, value: Any) -> None:
        self.router.printed.append(to_text(value))

    def _log(self, topic: str, message: str) -> None:
        self.router.log.append((topic, message))


CONTROL = {
    ":local",
    ":global",
    ":set",
    ":if",
    ":foreach",
    ":for",
    ":do",
    ":onerror",
    ":error",
    ":return",
    ":put",
    ":log",
}
NAMING = {":local", ":global", ":set", ":foreach", ":for", ":onerror"}  # the word behind is a name


def find(text: Any, part: Any) -> int | None:
    found = to_text(text).find(to_text(part))
    return None if found < 0 else found


def to_number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def type_of(value: Any) -> str:
    return {bool: "bool", Time: "time", int: "num", str: "str", list: "array", dict: "array"}.get(type(value), "nil")


PURE: dict[str, Callable[..., Any]] = {
    ":delay": lambda _: None,
    ":parse": Block,
    ":len": lambda value: 0 if value is None else len(value),
    ":pick": lambda value, start, end: value[start:end],
    ":find": find,
    ":typeof": type_of,
    ":tonum": to_number,
    ":tostr": lambda value: to_text(value),
    ":totime": Time,
    ":toarray": lambda _: [],
    ":rndstr": lambda length, **source: "".join(secrets.choice(source["from"]) for _ in range(length)),
    ":rndnum": lambda to, **start: start["from"] + secrets.randbelow(to - start["from"] + 1),
}


def literal(word: str) -> Any:
    if word in {"true", "false"}:
        return word == "true"
    if word in {"yes", "no"}:
        return word == "yes"
    if word.lstrip("-").isdecimal():
        return int(word)
    time = Time.parse(word)
    return word if time is None else time


def to_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ";".join(map(to_text, value)) if isinstance(value, list) else str(value)


def combine(sign: str, left: Any, right: Any) -> Any:
    if sign in {"&&", "||"}:
        return (left and right) if sign == "&&" else (left or right)
    if sign == ".":
        return to_text(left) + to_text(right)
    result = ARITHMETIC[sign](left, right)
    is_time = sign in "+-*/" and (isinstance(left, Time) or isinstance(right, Time))
    return Time(result) if is_time else result
