from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.core.moments import WitaMoment
from app.core.words import Words
from app.explaining.schemas import SecondKind
from app.measurements.simulated_past import MarksSimulatedPast
from app.registry.models import State, UnknownReason
from app.witnesses.kinds import Provable, Says, WitnessKind
from app.witnesses.rules import Believed

AT = "2026-11-24T21:33:00+08:00"
LEDGER: dict[str, Any] = {
    "state": "down",
    "unknown_reason": None,
    "counts_as": "down",
    "started_at": "2026-11-24T21:31:24+08:00",
    "ended_at": "2026-11-24T21:38:02+08:00",
}
LOOK: dict[str, Any] = {
    "witness": "central",
    "says": "down",
    "started_at": "2026-11-24T21:32:54+08:00",
    "ended_at": "2026-11-24T21:33:04+08:00",
    "heard_at": None,
    "is_claim": False,
    "proves": True,
    "counts": True,
    "may_prove": ["up", "down"],
    "detail": {"sent": 5, "received": 0},
}
VISITOR: dict[str, Any] = {
    "witness": "visitor",
    "says": "up",
    "started_at": AT,
    "ended_at": "2026-11-24T21:33:01+08:00",
    "heard_at": AT,
    "is_claim": False,
    "proves": True,
    "counts": False,
    "may_prove": ["up"],
    "detail": {"results": 1},
}
DISAGREEMENT: dict[str, Any] = {
    "up": "visitor",
    "down": "central",
    "believed": "ledger",
    "is_checked": False,
    "words": {
        "id": "Seseorang di desa mengukur pada detik ini, dan putus layanan tetap seperti yang ditemukan.",
        "en": "Somebody in the village measured in this second, and the outage stays as it was found.",
    },
}
EXAMPLE: dict[str, Any] = {
    "site_id": 512,
    "code": "64.02.05.2003-01",
    "at": AT,
    "ledger": LEDGER,
    "statements": [LOOK, VISITOR],
    "disagreements": [DISAGREEMENT],
}


class LedgerOut(BaseModel):
    """What was made of it: the state, and what the second counts as."""

    model_config = ConfigDict(json_schema_extra={"examples": [LEDGER]})

    state: State | None = Field(description="as in `/sites/{id}/segments`; null outside of service")
    unknown_reason: UnknownReason | None
    counts_as: SecondKind = Field(description="what it counts as in `/sites/{id}/uptime`")
    started_at: WitaMoment | None = Field(description="since when it is in that state")
    ended_at: WitaMoment | None = Field(description="until when; null: it lasts")


class StatementOut(BaseModel):
    """What one witness says."""

    model_config = ConfigDict(json_schema_extra={"examples": [LOOK]})

    witness: WitnessKind
    says: Says
    started_at: WitaMoment = Field(description="the stretch that it speaks of")
    ended_at: WitaMoment | None = Field(description="its end; null: it lasts")
    heard_at: WitaMoment | None = Field(description="when this service learned of it; null: as it happened")
    is_claim: bool = Field(description="reported later, of a time in which nobody heard the witness: proves nothing")
    proves: bool = Field(description="whether it proves what it says")
    counts: bool = Field(description="whether it is among what makes the state")
    may_prove: list[Provable] = Field(description="what such a witness may prove at all", examples=[["up", "down"]])
    detail: dict[str, Any] = Field(
        description="what it knows beside: packets, round trip, what answered near the device; no address, no person",
        examples=[{"sent": 5, "received": 0}],
    )


class DisagreementOut(BaseModel):
    """Two witnesses that say otherwise of the same second."""

    model_config = ConfigDict(json_schema_extra={"examples": [DISAGREEMENT]})

    up: WitnessKind = Field(description="who says that it worked")
    down: WitnessKind = Field(description="who says that it did not")
    believed: Believed
    is_checked: bool = Field(description="whether it is a finding of the checks and a line of the berita acara")
    words: Words = Field(description="what follows")


class SecondEvidenceOut(MarksSimulatedPast):
    """Who said what about a second, and which of it counts."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    site_id: int
    code: str
    at: WitaMoment = Field(description="the second that is asked about")
    ledger: LedgerOut
    statements: list[StatementOut] = Field(description="those that may decide first, at most 50")
    disagreements: list[DisagreementOut] = Field(description="each pair of witnesses that differ")

    def covered_moments(self) -> list[datetime]:
        return [self.at]
