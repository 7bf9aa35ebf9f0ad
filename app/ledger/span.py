from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a site's ledger that was written anew: whatever follows from it is counted again."""

    site_id: int
    start: datetime
    end: datetime
