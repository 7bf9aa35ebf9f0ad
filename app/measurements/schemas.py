from enum import StrEnum
from typing import Annotated

from pydantic import Field


class ReadingSource(StrEnum):
    """`central`: our own probe; `agent`: the site's device; `silence`: a push that was due and missing while others
    came.
    """

    CENTRAL = "central"
    AGENT = "agent"
    SILENCE = "silence"


class EvidenceSource(StrEnum):
    """`central`: our own probe; `agent`: the site's device; `silence`: a push that was due and missing while others
    came; `claimed`: its device's account alone, which came later.
    """

    CENTRAL = "central"
    AGENT = "agent"
    SILENCE = "silence"
    CLAIMED = "claimed"


FIRST_READING = (
    "source of the reading that it began with: `central`, our own probe; `agent`, the site's device; `silence`, a push "
    "that was due and missing while other sites' pushes arrived"
)
NOT_STORED = "null: none, or no longer stored"

OutageEvidence = Annotated[ReadingSource | None, Field(description=f"{FIRST_READING}. {NOT_STORED}")]
SegmentEvidence = Annotated[
    EvidenceSource | None,
    Field(
        description=f"{FIRST_READING}; `claimed`, its device's account alone, which came later (`claim`). {NOT_STORED}"
    ),
]
