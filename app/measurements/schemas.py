from enum import StrEnum
from typing import Annotated

from pydantic import Field


class ReadingSource(StrEnum):
    """`central`: our own probe; `agent`: the site's device; `silence`: a push that was due and missing while others
    came; our own probe at another vantage: `vantage-1`, `vantage-2`, `vantage-3`, `vantage-4`, `vantage-5`,
    `vantage-6`, `vantage-7`, `vantage-8`.
    """

    CENTRAL = "central"
    AGENT = "agent"
    SILENCE = "silence"
    VANTAGE_1 = "vantage-1"
    VANTAGE_2 = "vantage-2"
    VANTAGE_3 = "vantage-3"
    VANTAGE_4 = "vantage-4"
    VANTAGE_5 = "vantage-5"
    VANTAGE_6 = "vantage-6"
    VANTAGE_7 = "vantage-7"
    VANTAGE_8 = "vantage-8"


class EvidenceSource(StrEnum):
    """`central`: our own probe; `agent`: the site's device; `silence`: a push that was due and missing while others
    came; `claimed`: its device's account alone, which came later; our own probe at another vantage: `vantage-1`,
    `vantage-2`, `vantage-3`, `vantage-4`, `vantage-5`, `vantage-6`, `vantage-7`, `vantage-8`.
    """

    CENTRAL = "central"
    AGENT = "agent"
    SILENCE = "silence"
    CLAIMED = "claimed"
    VANTAGE_1 = "vantage-1"
    VANTAGE_2 = "vantage-2"
    VANTAGE_3 = "vantage-3"
    VANTAGE_4 = "vantage-4"
    VANTAGE_5 = "vantage-5"
    VANTAGE_6 = "vantage-6"
    VANTAGE_7 = "vantage-7"
    VANTAGE_8 = "vantage-8"


FIRST_READING = (
    "source of the reading that it began with: `central`, our own probe, elsewhere `vantage-1` to `vantage-8`; "
    "`agent`, the site's device; `silence`, a push that was due and missing while other sites' pushes arrived"
)
NOT_STORED = "null: none, or no longer stored"

OutageEvidence = Annotated[ReadingSource | None, Field(description=f"{FIRST_READING}. {NOT_STORED}")]
SegmentEvidence = Annotated[
    EvidenceSource | None,
    Field(
        description=f"{FIRST_READING}; `claimed`, its device's account alone, which came later (`claim`). {NOT_STORED}"
    ),
]
