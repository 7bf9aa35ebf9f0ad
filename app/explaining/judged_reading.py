"""A reading as it was judged, and what it meant for the second that is explained. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.core.clock import from_slot
from app.judging.judge import Observation
from probes.contract import Outcome, Reading


class ReadingMark(StrEnum):
    """`last_answer`: the last one before the outage; `began`: the state begins with it; `confirmed`: it confirmed the
    outage; `newest`: the last one judged up to the second asked about; `next`: the first one after it.
    """

    LAST_ANSWER = "last_answer"
    BEGAN = "began"
    CONFIRMED = "confirmed"
    NEWEST = "newest"
    NEXT = "next"


@dataclass(frozen=True, slots=True)
class JudgedReading:
    """`our_fault`: the reason of the blind range that excuses what it lost; a claim is not judged."""

    reading: Reading
    observation: Observation
    our_fault: str | None
    is_claim: bool
    marks: tuple[ReadingMark, ...] = ()

    @property
    def at(self) -> datetime:
        return from_slot(self.reading.slot)

    @property
    def judged_as(self) -> Outcome | None:
        return None if self.is_claim else self.observation.outcome

    @property
    def is_evidence(self) -> bool:
        return self.judged_as in {Outcome.OK, Outcome.TIMEOUT}
