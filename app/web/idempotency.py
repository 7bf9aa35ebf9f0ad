"""`Idempotency-Key`: a POST that is sent again within 24 hours makes no second thing."""

import hashlib
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import idempotency_store
from app.access.scope import Caller


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A request that may have been sent before; one without a key never was."""

    key: str | None
    path: str
    response: Response

    async def find(self, session: AsyncSession, given: BaseModel, *, caller: Caller) -> int | None:
        """The id of what this very request made before. Raises Invalid where its key stands for another request."""
        if self.key is None:
            return None
        made = await idempotency_store.find(session, self.key, self._digest(given), caller=caller)
        if made is None:
            return None
        self.response.headers["Idempotent-Replayed"] = "true"
        return int(made)

    async def record(self, session: AsyncSession, given: BaseModel, made: int, *, caller: Caller) -> None:
        if self.key is not None:
            await idempotency_store.keep(session, self.key, self._digest(given), str(made), caller=caller)

    def _digest(self, given: BaseModel) -> bytes:
        return hashlib.sha256(f"{self.path} {given.model_dump_json()}".encode()).digest()


def _idempotency(
    request: Request,
    response: Response,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=200, description="sent again within 24 hours, it makes nothing new")
    ] = None,
) -> Idempotency:
    return Idempotency(idempotency_key, request.url.path, response)


IdempotencyKey = Annotated[Idempotency, Depends(_idempotency)]
