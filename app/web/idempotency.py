"""`Idempotency-Key`: a POST that is repeated within 24 hours creates nothing twice."""

import hashlib
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import idempotency_store
from app.access.scope import Caller
from app.web.request_context import context_of


@dataclass(frozen=True, slots=True)
class Idempotency:
    """The key of a request; without one `find` returns None and `record` does nothing."""

    key: str | None
    path: str
    response: Response

    async def find(self, session: AsyncSession, body: BaseModel, *, caller: Caller) -> int | None:
        """Return the id of what this request created before, or None. Raises Invalid for another request's key."""
        if self.key is None:
            return None
        object_id = await idempotency_store.find(session, self.key, self._digest(body), caller=caller)
        if object_id is None:
            return None
        self.response.headers["Idempotent-Replayed"] = "true"
        return int(object_id)

    async def record(self, session: AsyncSession, body: BaseModel, object_id: int, *, caller: Caller) -> None:
        if self.key is not None:
            await idempotency_store.record(session, self.key, self._digest(body), str(object_id), caller=caller)

    def _digest(self, body: BaseModel) -> bytes:
        return hashlib.sha256(f"{self.path} {body.model_dump_json()}".encode()).digest()


async def _idempotency(
    request: Request,
    response: Response,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=200,
            description="a key of your own: a repetition within 24 hours creates nothing new",
            examples=["5f0c8a3e-register-512"],
        ),
    ] = None,
) -> Idempotency:
    context_of(request).has_idempotency_key = idempotency_key is not None
    return Idempotency(idempotency_key, request.url.path, response)


IdempotencyKey = Annotated[Idempotency, Depends(_idempotency)]
