"""What the calls of reports take."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, model_validator

from app.contracts.term_types import Day
from app.core.errors import Fault
from app.core.moments import WitaMoment
from app.core.validation import MESSAGES, TURNS_DIRECTION, FaultError, reject_direction, reject_nul
from app.registry.schemas import Text
from app.reports.models import ObjectionDecision
from app.reports.paper_schemas import PARTIES, Parties

NUL = re.compile("\0")
MAX_LINES = 40  # of a statement: lines without words must not fill a paper until nobody can typeset it

UNTIL = "last day (WITA) for objections, from the next working day to 60 days ahead; default the fifth working day"


def _reject_links(value: str, info: ValidationInfo) -> str:
    if "://" in value or re.search(r"\bwww\.", value, re.IGNORECASE):
        raise FaultError(
            Fault(
                info.field_name or "",
                "no_links",
                "Links are not part of a report",
                "Name the evidence: its number, date and issuer",
            )
        )
    return value


def _limit_lines(value: str, info: ValidationInfo) -> str:
    if (lines := len(value.splitlines())) > MAX_LINES:
        raise FaultError(
            Fault(
                info.field_name or "",
                "too_many_lines",
                "{given} lines: a statement has at most {most}",
                "Write it as running text",
                values={"given": lines, "most": MAX_LINES},
            )
        )
    return value


Statement = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=2000),
    AfterValidator(reject_nul),
    AfterValidator(reject_direction),
    AfterValidator(_reject_links),
    AfterValidator(_limit_lines),
]
Evidence = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500),
    AfterValidator(reject_nul),
    AfterValidator(reject_direction),
    AfterValidator(_reject_links),
    AfterValidator(_limit_lines),
]


def _require_plain(parties: Parties) -> None:
    """Raises FaultError for a name that reads otherwise than it is kept. What is stored already is still read."""
    for name, value in _texts(parties.model_dump(exclude_none=True), "parties"):
        for code, marks in (("nul", NUL), ("direction", TURNS_DIRECTION)):
            if marks.search(value):
                raise FaultError(Fault(name, code, MESSAGES[code]))


def _texts(values: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _texts(value, f"{path}.{name}")
        else:
            yield f"{path}.{name}", value


class ReportDraftIn(BaseModel):
    """A month, or for the recapitulation a year, and what its papers say beside the figures."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"period": "2026-10", "parties": PARTIES}]}
    )

    period: Annotated[
        str, Field(min_length=4, max_length=7, description="`2026-10`, or a year", examples=["2026-10", "2026"])
    ]
    parties: Parties = Field(default_factory=Parties, description="who signs, where, and by which papers")
    objections_until: Day | None = Field(None, description=UNTIL, examples=["2026-11-16"])

    @model_validator(mode="after")
    def _plain(self) -> Self:
        _require_plain(self.parties)
        return self


class CorrectionIn(BaseModel):
    """Why an issued report is to be replaced by a new one."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "Penyebab dikoreksi atas laporan PLN"}]}
    )

    reason: Annotated[Text, Field(description="it is part of the correction", examples=["Penyebab dikoreksi"])]
    objections_until: Day | None = Field(None, description=UNTIL, examples=["2026-11-16"])


class ReportPatch(BaseModel):
    """Only given fields change; of `parties`, too."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"parties": {"place": "Samarinda"}}]})

    parties: Parties | None = Field(None, description="who signs, where, and by which papers", examples=[PARTIES])
    objections_until: Day | None = Field(None, description="a later last day for objections", examples=["2026-11-20"])

    @model_validator(mode="after")
    def _plain(self) -> Self:
        if self.parties is not None:
            _require_plain(self.parties)
        return self


OBJECTION_IN: dict[str, Any] = {
    "site": "64.02.05.2003-01",
    "outage_started_at": "2026-10-07T09:12:20+08:00",
    "text": "Listrik PLN padam di desa itu sampai siang.",
    "evidence": "Laporan PLN ULP Bontang no. 88213",
}


class ObjectionIn(BaseModel):
    """What the provider objects to."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": OBJECTION_IN["text"]}]})

    site: Text | None = Field(None, description="code of a site in the report", examples=["64.02.05.2003-01"])
    outage_started_at: WitaMoment | None = Field(
        None, description="start of an outage of that site in the report", examples=["2026-10-07T09:12:20+08:00"]
    )
    text: Annotated[Statement, Field(description="what is wrong, and why", examples=[OBJECTION_IN["text"]])]
    evidence: Evidence | None = Field(
        None, description="what proves it: number, date, issuer", examples=[OBJECTION_IN["evidence"]]
    )


class ObjectionDecisionIn(BaseModel):
    """What the province decides on an objection, until the report is issued."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"decision": "accepted", "text": "Penyebab diubah menjadi listrik padam."}]},
    )

    decision: ObjectionDecision = Field(description="what is decided", examples=["accepted"])
    text: Annotated[Statement, Field(description="the reasons", examples=["Penyebab diubah menjadi listrik padam."])]
