"""Says in both languages whether a second counts for a contract. Pure."""

from app.availability.contract_tally import COUNTED_DOWN, GOOD, OUTSIDE, SHORT, UNKNOWN
from app.availability.contract_words import REASONS
from app.availability.slices import ContractSlice
from app.core.words import Bilingual, duration_in_words, in_words


def contract_sentence(number: str, counted: ContractSlice) -> Bilingual:
    """Return what the contract of that number counts the second as, and why."""
    counted_as = counted.counted_as
    if counted_as == GOOD:
        return in_words("Contract {number} counts it as available.", number=number)
    if counted_as == COUNTED_DOWN:
        return in_words("Contract {number} counts it as down.", number=number)
    if counted_as == UNKNOWN:
        return in_words("Contract {number} counts it as unknown: in nobody's favour.", number=number)
    if counted_as == OUTSIDE:
        return in_words("Contract {number} does not count it: outside of service or of service hours.", number=number)
    if counted_as == SHORT and counted.length is not None:
        return in_words(
            "Contract {number} leaves it out: {proven} of the outage is proven, and outages count from {least} on.",
            number=number,
            proven=duration_in_words(counted.length.proven_s),
            least=duration_in_words(counted.policy.min_outage_s),
        )
    return in_words("Contract {number} leaves it out: {reason}.", number=number, reason=in_words(REASONS[counted_as]))
