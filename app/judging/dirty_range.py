from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class DirtyRange:
    """A stretch of one site's ledger that changed, or is to be judged again: what follows from it is counted again.

    `whole`: states changed in it, so an outage that reaches into it changed in its whole length, beyond the range too.
    """

    site_id: int
    start: datetime
    end: datetime
    whole: bool = True
