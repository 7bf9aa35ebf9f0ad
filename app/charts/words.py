"""What a chart says, in the reader's language: passed in, for a chart knows no catalogue and no clock."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol


class Translate(Protocol):
    def __call__(self, template: str, **values: object) -> str: ...


@dataclass(frozen=True, slots=True)
class ChartWords:
    text: Translate  # translates a template
    state: Callable[[str], str]
    moment: Callable[[datetime], str]  # 24 November 2026 14.05 WITA
    clock: Callable[[datetime], str]  # 14.05, in WITA
    day: Callable[[date], str]  # 24 November 2026
    short_day: Callable[[date], str]  # 24 Nov
    short_month: Callable[[date], str]  # Nov 2026
    duration: Callable[[float], str]
    percent: Callable[[float | None], str]
    number: Callable[[float | None], str]  # with the decimals that it needs
