"""Accounts, tokens and agents from the command line: by the same rules as over REST, and audited."""

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.models import Account
from app.accounts import store, tokens
from app.accounts.schemas import AccountIn, TokenIn
from app.agents import installation
from app.agents.models import AgentKind
from app.core.errors import Invalid
from app.core.validation import faults_from
from app.runtime.admin_session import by_command_line, on_database
from app.settings import Settings, SettingsError

ALL = 100_000

Model = TypeVar("Model", bound=BaseModel)


async def welcome(settings: Settings, say: Callable[[str], None]) -> None:
    """On a database without any account: the first one, whose password is said this once and kept nowhere."""
    async with on_database(settings, name="welcome") as session:
        password = await store.create_first(session, caller=by_command_line())
    if password is not None:
        username = store.FIRST_USERNAME
        say(f"first account: {username}, password {password} (shown this once; the first sign-in asks for another)")


async def create_account(settings: Settings, **given: Any) -> str | None:
    """The password, where none was given."""
    async with on_database(settings, name="account") as session:
        return (await store.create_account(session, _read(AccountIn, given), caller=by_command_line()))[1]


async def list_accounts(settings: Settings) -> list[dict[str, Any]]:
    async with on_database(settings, name="account") as session:
        found = await store.list_accounts(session, caller=by_command_line(), after=None, limit=ALL)
        return [store.present(one) for one in found]


async def disable_account(settings: Settings, username: str) -> None:
    async with on_database(settings, name="account") as session:
        account = await _account(session, username)
        await store.disable_account(session, account.id, caller=by_command_line())


async def reset_password(settings: Settings, username: str) -> str:
    async with on_database(settings, name="account") as session:
        account = await _account(session, username)
        return (await store.reset_password(session, account.id, caller=by_command_line()))[1]


async def create_token(settings: Settings, *, days: int | None, owner: str | None, **given: Any) -> str:
    """The secret."""
    async with on_database(settings, name="token") as session:
        wanted = _read(TokenIn, given)
        account = await _account(session, owner) if owner is not None else None
        return (
            await tokens.create_token(
                session,
                name=wanted.name,
                role=wanted.role,
                region_code=wanted.region_code,
                provider=wanted.provider,
                owner=account,
                days=days,
                caller=by_command_line(),
            )
        )[1]


async def list_tokens(settings: Settings) -> list[dict[str, Any]]:
    async with on_database(settings, name="token") as session:
        return await tokens.list_tokens(session, caller=by_command_line(), after=None, limit=ALL)


async def revoke_token(settings: Settings, token_id: int) -> None:
    async with on_database(settings, name="token") as session:
        await tokens.revoke_token(session, token_id, caller=by_command_line())


async def issue_agent(settings: Settings, site: str, kind: str) -> str:
    """The script, with a new token in it."""
    if kind not in set(AgentKind):
        raise SettingsError(f"--kind is one of {', '.join(AgentKind)}")
    async with on_database(settings, name="agent") as session:
        return await installation.issue(
            session,
            site,
            AgentKind(kind),
            caller=by_command_line(),
            settings=settings,
            url=installation.public_url(settings),
        )


async def revoke_agent(settings: Settings, site: str) -> int:
    async with on_database(settings, name="agent") as session:
        return await installation.revoke(session, site, caller=by_command_line())


async def _account(session: AsyncSession, username: str) -> Account:
    found = await store.find_account(session, username.strip().lower())
    if found is None:
        raise SettingsError(f"there is no account {username}: `sinyal account list` shows them")
    return found


def _read(model: type[Model], given: dict[str, Any]) -> Model:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise Invalid(*faults_from(map(dict, error.errors()))) from None
