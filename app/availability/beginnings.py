"""What a state rests on: the source of the reading that it began with, read from where raw readings are kept."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from app.availability.timeline import Piece
from app.measurements import store as measurements
from app.measurements.store import MeasurementKey
from app.registry.models import State
from probes.contract import Outcome

BEGINS = {
    State.UP: Outcome.OK,
    State.DEGRADED: Outcome.OK,
    State.DOWN: Outcome.TIMEOUT,
    State.UNREACHABLE: Outcome.TIMEOUT,
}


async def evidence(session: AsyncSession, site_id: int, pieces: Sequence[Piece]) -> list[str | None]:
    """Of each piece; None where nobody looked, or the reading is kept no more."""
    looks = [_look(site_id, piece) for piece in pieces]
    found = await measurements.sources_of(session, {look for look in looks if look is not None})
    return [None if look is None else found.get(look) for look in looks]


def _look(site_id: int, piece: Piece) -> MeasurementKey | None:
    outcome = BEGINS.get(piece.state)
    return None if outcome is None or piece.began_at is None else (site_id, piece.began_at, outcome)
