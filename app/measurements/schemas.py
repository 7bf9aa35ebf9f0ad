from enum import StrEnum
from typing import Annotated

from pydantic import Field


class ReadingSource(StrEnum):
    CENTRAL = "central"
    AGENT = "agent"
    SILENCE = "silence"


class EvidenceSource(StrEnum):
    CENTRAL = "central"
    AGENT = "agent"
    SILENCE = "silence"
    CLAIMED = "claimed"


Evidence = Annotated[
    EvidenceSource | None,
    Field(
        description="source of the reading that it began with: `central`, our own probe; `agent`, the site's device; "
        "`silence`, a push that was due and missing while other sites' pushes arrived; `claimed`, its device's "
        "account alone, which came later. null: none, or no longer stored"
    ),
]
