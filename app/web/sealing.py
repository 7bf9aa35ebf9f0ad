"""The sealer of this process, as a dependency of routes that take secrets."""

from typing import Annotated

import structlog
from fastapi import Depends, Request

from app.access.sealer import open_sealer
from app.core.errors import SealingUnavailable
from app.core.sealing import Sealer
from app.settings import SettingsError
from app.web.deps import Session

log = structlog.get_logger()


async def read_sealer(session: Session, request: Request) -> Sealer:
    """Raises SealingUnavailable where what is sealed could not be opened again."""
    state = request.app.state
    if state.sealer is None:
        try:
            state.sealer = await open_sealer(session, state.settings)
        except SettingsError as error:
            log.error("secrets_cannot_be_sealed", problem=str(error))
            raise SealingUnavailable from None
    sealer: Sealer = state.sealer
    return sealer


SealerOfApp = Annotated[Sealer, Depends(read_sealer)]
