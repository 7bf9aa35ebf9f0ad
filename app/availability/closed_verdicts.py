"""The verdicts of a closed month as they were closed, each with its latest correction beside it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.core.words import Bilingual, in_words

Figures = dict[str, Any]  # the fields of ContractVerdict
NOTHING_COUNTED: Figures = {
    "covered": None,
    "whole_period": False,
    **dict.fromkeys(("service_s", "good_s", "counted_down_s", "unknown_s", "claimed_s", "missed_by_s"), 0),
    "excluded": {},
    **dict.fromkeys(("availability_pct", "worst_pct", "best_pct", "target_pct", "required_pct", "verdict")),
    "stretches": [],
}


@dataclass(frozen=True, slots=True)
class ClosedVerdict:
    """Figures of a site under a contract, and what corrected them since they were closed."""

    figures: Figures
    closed_at: datetime | None = None
    correction: Figures | None = None


def closed_verdicts(row: Figures) -> Iterator[ClosedVerdict]:
    """Yield the verdicts of a stored month (`monthly_close.closed_rows`), by contract and link.

    A correction may move a site to another contract, or from it: the one has nothing closed, the other nothing left.
    """
    published, corrected = _by_contract(row), _by_contract(row["correction"])
    for key in dict.fromkeys((*published, *corrected)):
        correction = None
        if row["correction"] is not None:
            left = _nothing(published.get(key), in_words("The site is no longer under this contract."))
            why = {"recorded_at": row["correction"]["recorded_at"], "corrected_because": row["correction"]["reason"]}
            correction = (corrected.get(key) or left) | why
        text = in_words("The site was not under this contract when the month was closed: see the correction.")
        figures = published.get(key) or _nothing(corrected.get(key), text)
        yield ClosedVerdict(figures, row["closed_at"], correction)


def _by_contract(row: Figures | None) -> dict[tuple[int, str], Figures]:
    if row is None:
        return {}
    one = [] if row["contract"] is None else [row["contract"]]
    return {(figures["contract"]["id"], figures["link_role"]): figures for figures in row["contracts"] or one}


def _nothing(other: Figures | None, reason: Bilingual) -> Figures:
    """Return that not a second was counted under the contract of the other figures."""
    other = other or {"contract": None, "link_role": None}
    return {"contract": other["contract"], "link_role": other["link_role"], **NOTHING_COUNTED, "reason": reason}
