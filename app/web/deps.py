"""Dependencies of routes: the database session of a request, and the policy that says who may call."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.rights import HOLDERS, REFUSALS, Right
from app.access.scope import Caller
from app.core.errors import NotAllowed, PasswordChangeRequired
from app.postgres.engine import transaction
from app.web.auth import signed_in


async def open_session(request: Request) -> AsyncIterator[AsyncSession]:
    async with transaction(request.app.state.sessions) as session:
        yield session


Session = Annotated[AsyncSession, Depends(open_session, scope="function")]


async def open_reading_session(request: Request, session: Session) -> AsyncIterator[AsyncSession]:
    async with request.app.state.reads.transaction(session) as reading:
        yield reading


# Of a replica, where one is set and has caught up: for what only reads, and looks far back
ReadSession = Annotated[AsyncSession, Depends(open_reading_session, scope="function")]


class Allowed:
    """A route's policy: who may call it at all. The stores limit what each caller sees and changes."""

    def __init__(self, right: Right, *, with_initial_password: bool = False) -> None:
        self.right = right
        self.with_initial_password = with_initial_password

    async def __call__(self, caller: Annotated[Caller, Depends(signed_in)]) -> Caller:
        """Raises NotAllowed; PasswordChangeRequired while somebody else knows the caller's password."""
        if caller.must_change_password and not self.with_initial_password:
            raise PasswordChangeRequired
        if caller.role not in HOLDERS[self.right]:
            raise NotAllowed(REFUSALS[self.right], values={"role": caller.role.value})
        return caller


async def open_to_all() -> None:
    """The policy of a route that anybody may call."""


Reader = Annotated[Caller, Depends(Allowed(Right.READ))]
Writer = Annotated[Caller, Depends(Allowed(Right.WRITE))]
Provincial = Annotated[Caller, Depends(Allowed(Right.PROVINCE))]
Issuer = Annotated[Caller, Depends(Allowed(Right.ISSUE))]
ProberManager = Annotated[Caller, Depends(Allowed(Right.PROBERS))]
Admin = Annotated[Caller, Depends(Allowed(Right.ADMINISTER))]
SignedIn = Annotated[Caller, Depends(Allowed(Right.READ, with_initial_password=True))]  # about the caller's own account
