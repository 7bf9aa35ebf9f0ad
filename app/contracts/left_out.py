"""What a contract's terms leave out of its downtime, in words of both languages. Pure."""

from collections.abc import Iterator

from app.availability.contract_words import REASONS
from app.core.words import Bilingual, in_words
from app.registry.models import Cause, ContractTerms

SHORT = "Outages shorter than {seconds} s"
OF_CAUSE = "Outages with cause {cause}"
BEHIND_PARENT = "Time while a parent node is down"
OUT_OF_HOURS = "Time outside {opens}-{closes} WITA"
MAINTENANCE = "Time under maintenance"
DEGRADED = "Degraded time: it counts as good"
TEMPLATES = (SHORT, OF_CAUSE, BEHIND_PARENT, OUT_OF_HOURS, MAINTENANCE, DEGRADED)
DEFAULTED = (
    "min_outage_s",
    "excluded_causes",
    "excuses_parent",
    "degraded_counts",
    "fee_per",
)  # terms that have a default


def left_out(terms: ContractTerms) -> Iterator[Bilingual]:
    """Yield each thing that is left out."""
    if terms.min_outage_s:
        yield in_words(SHORT, seconds=terms.min_outage_s)
    for cause in terms.excluded_causes:
        yield in_words(OF_CAUSE, cause=in_words(REASONS[Cause(cause)]))
    if terms.excuses_parent:
        yield in_words(BEHIND_PARENT)
    if terms.service_from is not None and terms.service_to is not None:
        yield in_words(OUT_OF_HOURS, opens=f"{terms.service_from:%H:%M}", closes=f"{terms.service_to:%H:%M}")
    yield in_words(MAINTENANCE)
    if not terms.degraded_counts:
        yield in_words(DEGRADED)
