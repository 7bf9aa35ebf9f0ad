from enum import StrEnum
from typing import Annotated

from pydantic import Field


class ReadingSource(StrEnum):
    CENTRAL = "central"
    AGENT = "agent"
    SILENCE = "silence"


Evidence = Annotated[
    ReadingSource | None,
    Field(
        description="source of the reading that it began with: `central`, our own probe; `agent`, the site's device; "
        "`silence`, a push that was due and missing while other sites' pushes arrived. null: none, or no longer stored"
    ),
]
