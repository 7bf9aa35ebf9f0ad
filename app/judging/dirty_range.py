from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class DirtyRange:
    """A stretch of a site's ledger that was written anew: whatever follows from it is counted again.

    `whole`: states changed in it, so that what reaches beyond it, an outage, is another one in its whole length.
    """

    site_id: int
    start: datetime
    end: datetime
    whole: bool = True
