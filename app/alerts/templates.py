"""The templates of notifications, from `config/alerts/<language>.toml`: loaded, checked and filled in.

A template is a text with words in braces, or a list of such texts from the fullest to the barest: then the first that
fits, and whose words are all known, is taken. A line of which a word is not known is left out.
"""

import difflib
import re
import string
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from app.alerts.gsm import gsm_length, to_gsm
from app.alerts.message_words import MESSAGES, NUMBERS, PARTS, WORDS
from app.core.words import LANGUAGES
from app.settings import CONFIG_DIR, SettingsError

FORMS = ("title", "long", "short")
BAREST, MARK = (
    100,
    40,
)  # letters of an SMS: the last text of a short form, after the mark of a simulation, must always fit

Template = tuple[str, ...]
Words = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Templates:
    """Those of one language: `messages` by situation and form, `parts` by name."""

    messages: Mapping[str, Mapping[str, Template]]
    parts: Mapping[str, Template]


@cache
def templates() -> Mapping[str, Templates]:
    """Return the installation's, by language. Raises SettingsError at the first mistake."""
    return load_templates(CONFIG_DIR / "alerts")


def load_templates(folder: Path) -> Mapping[str, Templates]:
    return {language: _load(folder / f"{language}.toml") for language in LANGUAGES}


def fill(template: Template, words: Words) -> str:
    """Return the first text whose words are all known; of a single text, the lines whose words are."""
    if len(template) == 1:
        return _without_gaps(line.format_map(words) for line in template[0].splitlines() if _is_known(line, words))
    return next((text.format_map(words) for text in template if _is_known(text, words)), "")


def fill_alternatives(template: Template, words: Words) -> Iterator[str]:
    """Yield each text whose words are all known, the fullest first."""
    return (text.format_map(words) for text in template if _is_known(text, words))


def _is_known(text: str, words: Words) -> bool:
    return all(words.get(word) for word in _words_of(text))


def _without_gaps(lines: Iterator[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


@lru_cache(maxsize=4096)
def _words_of(text: str) -> tuple[str, ...]:
    """Return the words in braces. Raises ValueError for braces that are not a plain word's."""
    words = []
    for _, word, spec, conversion in string.Formatter().parse(text):
        if word is None:
            continue
        if spec or conversion or not re.fullmatch(r"[a-z_]+", word):
            raise ValueError(f"{{{word}}} is not a word in braces")
        words.append(word)
    return tuple(words)


def _load(path: Path) -> Templates:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"alert texts {path}: {getattr(error, 'strerror', None) or error}") from None
    _require_same(path, "", tables, (*MESSAGES, "part"))
    parts = tables.pop("part")
    _require_same(path, "part.", parts, PARTS)
    for name, table in tables.items():
        _require_same(path, f"{name}.", table, FORMS)
    return Templates(
        {
            name: {form: _template(path, f"{name}.{form}", table[form]) for form in FORMS}
            for name, table in tables.items()
        },
        {name: _template(path, f"part.{name}", value) for name, value in parts.items()},
    )


def _require_same(path: Path, prefix: str, table: Any, known: Sequence[str]) -> None:
    """Raises SettingsError for a key that is missing or unknown."""
    if not isinstance(table, dict):
        raise SettingsError(f"alert texts {path}: {prefix.rstrip('.')} is a table, written [{prefix.rstrip('.')}]")
    for key in table:
        if key not in known:
            raise SettingsError(f"alert texts {path}: unknown key {prefix}{key}{_nearest(key, known)}")
    for key in known:
        if key not in table:
            raise SettingsError(f"alert texts {path}: {prefix}{key} is missing")


def _template(path: Path, key: str, value: Any) -> Template:
    """Return a template that can be filled in. Raises SettingsError: it names file, key, word and the nearest known."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise SettingsError(f"alert texts {path}: {key} is a text, or a list of texts")
    for text in texts:
        try:
            words = _words_of(text)
        except ValueError as error:
            raise SettingsError(f"alert texts {path}: {key}: {_brace_error(error)} in {text.strip()[:60]!r}") from None
        for word in words:
            if word not in WORDS:
                raise SettingsError(f"alert texts {path}: {key}: unknown word {{{word}}}{_nearest(word, WORDS)}")
    if key.endswith(".short") and not key.startswith("part."):
        _require_barest(path, key, texts[-1])
    if key == "part.simulated":
        _require_at_most(path, key, texts[-1], MARK)
    return tuple(texts)


def _require_barest(path: Path, key: str, text: str) -> None:
    """The last text must fit whatever happened: only numbers, which are always known, and short."""
    if wrong := [word for word in _words_of(text) if word not in NUMBERS]:
        raise SettingsError(
            f"alert texts {path}: {key}: the last text may hold only {', '.join(f'{{{n}}}' for n in NUMBERS)},"
            f" as nothing else is always known and short: not {{{wrong[0]}}}"
        )
    _require_at_most(path, key, text, BAREST)


def _require_at_most(path: Path, key: str, text: str, longest: int) -> None:
    if gsm_length(to_gsm(text)) > longest:
        raise SettingsError(f"alert texts {path}: {key}: the last text is longer than {longest} letters of an SMS")


def _brace_error(error: ValueError) -> str:
    """Python says `expected '}' before end of string`, or that a single one stands alone."""
    return (
        str(error)
        if "not a word" in str(error)
        else "a brace is not closed or not opened (one in the text itself: {{ or }})"
    )


def _nearest(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, 1)
    return f"; did you mean {near[0]}?" if near else ""
