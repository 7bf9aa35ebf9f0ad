"""Read a TOML table strictly: missing, wrong and unknown keys are collected as problems."""

import math
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any


class TomlTable:
    """Takes known keys out of a TOML table and adds to `problems` what is wrong with them; `finish` adds the rest."""

    def __init__(self, content: Mapping[str, Any], where: str, problems: list[str]) -> None:
        self._content = dict(content)
        self._known: list[str] = []
        self.where = where
        self.problems = problems

    def take(self, key: str, allowed: str, fits: Callable[[Any], bool], *, required: bool = False) -> Any:
        self._known.append(key)
        if key not in self._content:
            if required:
                self.report(f"{key} is missing; allowed: {allowed}")
            return None
        value = self._content.pop(key)
        if fits(value):
            return value
        self.report(f"{key} is {value!r}; allowed: {allowed}")
        return None

    def number(self, key: str, allowed: str, fits: Callable[[float], bool], *, required: bool = False) -> Any:
        return self.take(key, allowed, lambda value: _is_number(value) and fits(value), required=required)

    def whole(self, key: str, allowed: str, least: int, *, default: int | None = None) -> Any:
        number = self.take(key, allowed, lambda value: type(value) is int and value >= least)
        return default if number is None else number

    def one_of(self, key: str, options: Sequence[str], *, required: bool = False) -> Any:
        value = self._content.get(key)
        near = _did_you_mean(value, options) if isinstance(value, str) else ""
        return self.take(key, ", ".join(options) + near, lambda value: value in options, required=required)

    def table(self, key: str, where: str) -> "TomlTable | None":
        content = self.take(key, "a table", lambda value: isinstance(value, dict))
        return None if content is None else TomlTable(content, where, self.problems)

    def refuse(self, key: str, why: str) -> None:
        if key in self._content:
            self.report(f"{key} is {self._content.pop(key)!r}; allowed: nothing, {why}")

    def finish(self) -> None:
        for key, value in self._content.items():
            near = _did_you_mean(key, self._known)
            self.report(f"unknown key {key!r} (= {value!r}); allowed: {', '.join(self._known)}{near}")

    def report(self, problem: str) -> None:
        self.problems.append(f"{self.where}: {problem}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _did_you_mean(word: str, options: Sequence[str]) -> str:
    near = get_close_matches(word, options, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
