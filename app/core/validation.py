"""pydantic's validation errors as faults: one per wrong field, with a translatable message and a suggestion."""

import difflib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic_core import PydanticCustomError

from app.core.clock import NaiveTime, parse_moment
from app.core.errors import Fault
from app.core.pii import HIDDEN, MASK

MESSAGES = {
    "missing": "This field is required",
    "extra_forbidden": "Unknown field",
    "json_invalid": "The body is not valid JSON: {error}",
    "enum": "{given} is not one of: {expected}",
    "literal_error": "{given} is not one of: {expected}",
    "string_too_long": "At most {max_length} characters",
    "string_too_short": "At least {min_length} characters",
    "greater_than": "Must be greater than {gt}",
    "greater_than_equal": "Must be at least {ge}",
    "less_than": "Must be less than {lt}",
    "less_than_equal": "Must be at most {le}",
    "int_parsing": "{given} is not a whole number",
    "int_parsing_size": "{given} is too large",
    "int_type": "{given} is not a whole number",
    "int_from_float": "{given} is not a whole number",
    "float_parsing": "{given} is not a number",
    "float_type": "{given} is not a number",
    "decimal_parsing": "{given} is not a number",
    "decimal_type": "{given} is not a number",
    "decimal_max_places": "At most {decimal_places} decimals",
    "finite_number": "{given} is not a finite number",
    "bool_parsing": "{given} is not true or false",
    "bool_type": "{given} is not true or false",
    "string_type": "{given} is not a text",
    "list_type": "{given} is not a list",
    "tuple_type": "{given} is not a list",
    "too_long": "At most {max_length} items",
    "too_short": "At least {min_length} items",
    "model_attributes_type": "The body must be a JSON object",
    "model_type": "The body must be a JSON object",
    "string_pattern_mismatch": "{given} does not have the form {pattern}",
    "string_unicode": "The text is not valid Unicode",
    "not_json": "The body was not sent as JSON",
    "body_unreadable": "The body cannot be read as JSON",
    "nul": "A text must not contain the character NUL",
    "direction": "A text must not contain marks that turn the direction of letters",
    "too_many_values": "The body holds too many values",
}
SLUG, USERNAME = r"^[a-z0-9]+(-[a-z0-9]+)*$", r"^[a-z0-9][a-z0-9._-]{2,39}$"
PROCESS = r"^[A-Za-z0-9_-]{1,40}$"  # what a program draws to be told from others
PATTERNS = {  # in words
    SLUG: "{given}: only lower-case letters and digits, with single hyphens between them",
    USERNAME: "{given}: 3 to 40 lower-case letters, digits, dots, hyphens and underscores, a letter or digit first",
    PROCESS: "{given}: 1 to 40 letters, digits, hyphens and underscores",
}
EXAMPLE_MOMENT = "2026-11-24T06:00:00+08:00"
ENUM_MEMBER = re.compile(r"<[^<>]*: ('[^']*')>")  # how pydantic names a member in a Literal of enum members
TURNS_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")
REQUEST_PARTS = {"body", "query", "path", "header"}
MAX_GIVEN = 60  # characters of a value in a message
MAX_SUGGESTIONS = 20  # per request: each costs a comparison with every name
MAX_COMPARED = 60  # characters: a longer word is no misspelt name, and comparing it takes long

SynonymOf = Callable[[str, str], str | None]  # (field, word): the choice that the word is a synonym of


def faults_from(
    errors: Iterable[dict[str, Any]],
    *,
    fields: Sequence[str] = (),
    synonym_of: SynonymOf = lambda field, word: None,
) -> list[Fault]:
    """Convert pydantic's errors.

    `fields` (the names that exist) and `synonym_of` serve did-you-mean suggestions, for the first MAX_SUGGESTIONS.
    """
    return [
        _fault(error, fields, synonym_of, suggesting=number < MAX_SUGGESTIONS) for number, error in enumerate(errors)
    ]


def _fault(error: dict[str, Any], fields: Sequence[str], synonym_of: SynonymOf, *, suggesting: bool) -> Fault:
    path = list(error["loc"])
    if path and path[0] in REQUEST_PARTS:
        del path[0]  # a field may have the name of a part
    if error["loc"][:1] == ("query",):
        path = path[:1]  # of several values, which one is in the message
    if error["loc"][:1] == ("header",):
        path = [str(part).title() for part in path]  # If-Match, as HTTP spells it
    kind, context = error["type"], dict(error.get("ctx") or {})
    raised = context.get("error")
    if isinstance(raised, FaultError):
        named = path if path and isinstance(path[-1], str) else [*path, raised.fault.field]  # a validator of the model
        return replace(raised.fault, field=".".join(map(_field_name, named)))
    if kind == "json_invalid":
        path = []
        kind = raised if raised in MESSAGES else kind
    values = {"given": MASK if HIDDEN & set(path) else as_text(error.get("input")), **context}
    suggestion = None
    if kind == "extra_forbidden" and suggesting:
        values["near"] = closest(str(path[-1]), fields)
        suggestion = "Did you mean {near}?" if values["near"] else None
    if kind in {"enum", "literal_error"}:
        expected = ENUM_MEMBER.sub(r"\1", str(context["expected"]))
        choices = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
        values["expected"] = ", ".join(choices)
        field = str(path[-1]) if path else ""
        if suggesting:
            values["near"] = _nearest(values["given"], choices, synonym_of(field, values["given"]))
        suggestion = "Did you mean {near}?" if values.get("near") else None
    if kind == "model_attributes_type" and isinstance(error.get("input"), (bytes, str)) and not path:
        return Fault("Content-Type", "not_json", MESSAGES["not_json"], "Send the header Content-Type: application/json")
    message = PATTERNS.get(context.get("pattern", "")) or MESSAGES.get(kind)
    if message is None:
        message, values = "{message}", {"message": error["msg"].removeprefix("Value error, ")}
    return Fault(".".join(map(_field_name, path)) or "body", kind, message, suggestion, values=values)


def _field_name(part: object) -> str:
    """A name that a request made up may be of any length."""
    return str(part)[:MAX_GIVEN]


def _nearest(word: str, choices: Sequence[str], synonym: str | None) -> str | None:
    """A synonym wins over a similar spelling: `lte` means cellular, though it looks like `leo`."""
    return synonym if synonym in choices else closest(word, choices)


def closest(word: str, choices: Sequence[str]) -> str | None:
    """Return the choice that is spelt most like `word`, None when none is or the word is too long to be one."""
    if len(word) > MAX_COMPARED:
        return None
    return next(iter(difflib.get_close_matches(word.lower(), choices, 1)), None)


class FaultError(ValueError):
    """For pydantic validators: carries a whole fault, where a ValueError carries only a text."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def read_moment(field: str, value: object) -> datetime:
    """Parse a moment (`parse_moment`; epoch milliseconds may be a number). Raises FaultError."""
    values = {"given": as_text(value), "example": EXAMPLE_MOMENT}
    try:
        return parse_moment(as_text(value))
    except NaiveTime:
        fault = Fault(
            field,
            "naive_time",
            "{given} has no UTC offset",
            "Add the offset, for WITA: {example}",
            values=values,
        )
    except (ValueError, OverflowError, OSError):
        fault = Fault(field, "bad_time", "{given} is not a time", "Write it like {example}", values=values)
    raise FaultError(fault)


def reject_nul(value: str) -> str:
    if "\0" in value:
        raise PydanticCustomError("nul", "NUL")
    return value


def reject_direction(value: str) -> str:
    """Refuse marks after which a name reads otherwise than it is stored."""
    if TURNS_DIRECTION.search(value):
        raise PydanticCustomError("direction", "marks of direction")
    return value


def as_text(value: Any) -> str:
    """Spell a value as JSON does (null, true), texts without quotes; at most MAX_GIVEN characters."""
    text = value[: MAX_GIVEN + 1] if isinstance(value, str) else _beginning(value)
    return text if len(text) <= MAX_GIVEN else text[: MAX_GIVEN - 3] + "..."


def _beginning(value: Any) -> str:
    """Spell a little more than MAX_GIVEN characters of a value, and no more of it."""
    text = ""
    for piece in json.JSONEncoder(ensure_ascii=False, default=str).iterencode(value):
        text += piece[: MAX_GIVEN + 1]
        if len(text) > MAX_GIVEN:
            break
    return text
