"""The method of a berita acara, as its papers state it. Pure."""

from typing import Any

from app.core.words import in_words

VERSION = "berita-acara-1"


def method_fields() -> dict[str, Any]:
    """Return the fields of a ReportMethod."""
    return {
        "version": VERSION,
        "rounding": in_words(
            "Amounts are exact fractions until the end; the restitution of each line is rounded to whole rupiah once, "
            "half up, and the total is the sum of the lines. Percentages are cut after three decimals."
        ),
        "statements": [
            in_words("Good + counted down + excluded + unknown = service seconds, in each line and in the total."),
            in_words(
                "Availability = (service − counted down − unknown) ÷ (service − unknown): excluded counts as available."
            ),
            in_words("Lower bound: all that is unknown was down; upper bound: all of it was good."),
            in_words("Met: the lower bound reaches the target; missed: the upper bound does not; else undetermined."),
            in_words("Days and months are those of WITA (UTC+8)."),
        ],
    }
