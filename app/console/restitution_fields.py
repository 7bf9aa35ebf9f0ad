"""The restitution rule of a contract's form: plain fields, named as the API names what is wrong with them."""

import re
from typing import Any

from app.console.forms import Form
from app.console.numbers import read_number

KIND, BANDS, UNKNOWN = "restitution.kind", "restitution.bands", "restitution.unknown"
RULE_NUMBERS = (
    "restitution.divisor_pct",
    "restitution.after_s",
    "restitution.per_hour_pct",
    "restitution.per_hour_idr",
    "restitution.below_pct",
    "restitution.share_pct",
    "restitution.cap_pct",
)
RULE_FIELDS = (KIND, BANDS, UNKNOWN, *RULE_NUMBERS)
WITHIN_LINE = re.compile(r"\s*[;:\t]\s*|\s+")
DEFAULTED = {"cap_pct", "unknown"}  # by themselves they are no rule


def read_rule(form: Form) -> dict[str, Any] | None:
    """Return the rule with all that is filled in, whatever its kind: the API says what does not belong to it.

    A line of the bands is a limit and its share.
    """
    numbers = {name: read_number(form.get(name, "")) for name in RULE_NUMBERS}
    lines = [WITHIN_LINE.split(line.strip(), maxsplit=1) for line in form.get(BANDS, "").splitlines() if line.strip()]
    bands = [dict(zip(("below_pct", "share_pct"), map(read_number, line), strict=False)) for line in lines]
    fields = {KIND: form[KIND], BANDS: bands, UNKNOWN: form.get(UNKNOWN), **numbers}
    rule = {name.removeprefix("restitution."): value for name, value in fields.items() if value not in (None, "", [])}
    return rule if rule.keys() - DEFAULTED else None


def given(rule: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a rule of the API without what it leaves empty, as the form reads it."""
    return None if rule is None else {name: value for name, value in rule.items() if value is not None}


def shown(rule: dict[str, Any] | None) -> dict[str, Any]:
    """Return the values of the form's fields."""
    values: dict[str, Any] = {f"restitution.{name}": value for name, value in (given(rule) or {}).items()}
    if BANDS in values:
        values[BANDS] = "\n".join(f"{band['below_pct']:g} {band['share_pct']:g}" for band in values[BANDS])
    return values
