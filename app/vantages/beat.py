"""What a prober reports of itself with each beat, parsed."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

from app.core.errors import Fault, Invalid, Problem
from app.core.validation import MESSAGES, PROCESS, faults_from, read_moment, reject_nul

PROTOCOL = 1
MAX_FIGURES = 100


class ProtocolTooOld(Problem):
    status, type, title = 426, "protocol-too-old", "This prober speaks another protocol than the server: update it"


def _read_moment(value: Any, info: ValidationInfo) -> Any:
    return value if value is None else read_moment(info.field_name or "", value)


WireMoment = Annotated[datetime, BeforeValidator(_read_moment)]
Identity = Annotated[str, Field(pattern=PROCESS)]
Count = Annotated[int, Field(ge=0, le=2**53)]

MOMENT = "2026-11-24T06:00:00.120000Z"
BEAT: dict[str, Any] = {
    "protocol": PROTOCOL,
    "version": "0.1.0",
    "instance": "k3f9Qw",
    "started_at": "2026-11-24T05:10:00Z",
    "sent_at": MOMENT,
    "clock_offset_ms": 12,
    "blind_since": None,
    "spool": {"readings": 0, "oldest_at": None, "bytes": 0, "lost": 0},
    "figures": {"sites": 1038},
}


class SpoolIn(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [BEAT["spool"]]})

    readings: Count = Field(0, description="not acknowledged yet")
    oldest_at: WireMoment | None = Field(None, description="slot of the oldest of them", examples=[MOMENT])
    bytes: Count = Field(0, description="size on its disk")
    lost: Count = Field(0, description="dropped since it began, for lack of room or as refused")


class BeatIn(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [BEAT]})

    protocol: int = Field(description="the protocol that it speaks; another one is answered with 426")
    version: Annotated[str, Field(max_length=40), AfterValidator(reject_nul)] = Field(description="of the program")
    instance: Identity = Field(description="drawn by the process at its start")
    started_at: WireMoment = Field(description="when the process began, by the clock that it keeps to the server's")
    sent_at: WireMoment = Field(description="by the same clock")
    clock_offset_ms: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None = Field(
        None, description="the server's clock minus its machine's, as it measured"
    )
    blind_since: WireMoment | None = Field(
        None, description="since when none of its canaries answers", examples=[MOMENT]
    )
    spool: SpoolIn = Field(SpoolIn(), description="what it keeps until it is acknowledged")
    figures: Annotated[
        dict[Annotated[str, Field(pattern=r"^[a-z0-9_]{1,60}$")], int | float], Field(max_length=MAX_FIGURES)
    ] = Field({}, description="what it counts, by name")

    def stored_figures(self) -> dict[str, int | float]:
        """Return the figures as they are stored, with the spool's."""
        return {**self.figures, "spool_bytes": self.spool.bytes, "spool_lost": self.spool.lost}


def require_protocol(given: Any) -> None:
    """Raises ProtocolTooOld, Invalid for what is no number."""
    if type(given) is not int:
        raise Invalid(Fault("protocol", "missing", MESSAGES["missing"]))
    if given != PROTOCOL:
        raise ProtocolTooOld(protocol=PROTOCOL)


def read_beat(document: Any, *, field: str = "") -> BeatIn:
    """Raises Invalid with every fault, below `field`; ProtocolTooOld."""
    if isinstance(document, dict):
        require_protocol(document.get("protocol"))
    try:
        return BeatIn.model_validate(document)
    except ValidationError as error:
        located = [{**fault, "loc": (field, *fault["loc"]) if field else fault["loc"]} for fault in error.errors()]
        raise Invalid(*faults_from(located, fields=tuple(BeatIn.model_fields))) from None
