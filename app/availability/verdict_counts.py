"""How many verdicts of each kind there are: by site and contract, beside sites that have none."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

COUNTS: dict[str, Any] = {"met": 31, "missed": 4, "undetermined": 2, "no_contract": 1, "no_service": 0}


class VerdictKind(StrEnum):
    """What came of a site under a contract in a period: a verdict, or why there is none.

    `met`; `missed`; `undetermined`: unmeasured time would decide it; `no_contract`: in service under none;
    `no_service`: not a second in service.
    """

    MET = "met"
    MISSED = "missed"
    UNDETERMINED = "undetermined"
    NO_CONTRACT = "no_contract"
    NO_SERVICE = "no_service"


class VerdictCounts(BaseModel):
    """One verdict for each contract that a site was under in the period; the five add up to the rows of `/sla`."""

    model_config = ConfigDict(json_schema_extra={"examples": [COUNTS]})

    met: int = Field(description="target reached, even if all unknown time was down")
    missed: int = Field(description="target missed, even if all unknown time was good")
    undetermined: int = Field(description="unknown time would decide it")
    no_contract: int = Field(description="sites that were in service, and under no contract in the period")
    no_service: int = Field(description="under a contract, but not a second in service within its hours")


def count_verdicts(verdicts: Iterable[VerdictKind]) -> dict[str, int]:
    """Return the fields of VerdictCounts."""
    counts = dict.fromkeys((kind.value for kind in VerdictKind), 0)
    for verdict in verdicts:
        counts[verdict.value] += 1
    return counts
