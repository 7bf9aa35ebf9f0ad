"""Commands on accounts, tokens and agents: the rules are those of the REST API, and they are audited."""

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
from app.runtime.admin_session import admin_session, command_line_caller
from app.settings import Settings, SettingsError

ALL_ROWS = 100_000

Model = TypeVar("Model", bound=BaseModel)


async def create_first_account(settings: Settings, say: Callable[[str], None]) -> None:
    """If the database has no account, create one, and show its password this once: it is stored nowhere."""
    async with admin_session(settings, name="first account") as session:
        password = await store.create_first(session, caller=command_line_caller())
    if password is not None:
        username = store.FIRST_USERNAME
        say(f"first account: {username}, password {password} (shown this once; the first sign-in asks for another)")


async def create_account(settings: Settings, **fields: Any) -> str | None:
    """Return the generated password, None if one was given."""
    async with admin_session(settings, name="account") as session:
        return (await store.create_account(session, read_fields(AccountIn, fields), caller=command_line_caller()))[1]


async def list_accounts(settings: Settings) -> list[dict[str, Any]]:
    async with admin_session(settings, name="account") as session:
        accounts = await store.list_accounts(session, caller=command_line_caller(), after=None, limit=ALL_ROWS)
        return [store.present(account) for account in accounts]


async def disable_account(settings: Settings, username: str) -> None:
    async with admin_session(settings, name="account") as session:
        account = await _find_account(session, username)
        await store.disable_account(session, account.id, caller=command_line_caller())


async def reset_password(settings: Settings, username: str) -> str:
    async with admin_session(settings, name="account") as session:
        account = await _find_account(session, username)
        return (await store.reset_password(session, account.id, caller=command_line_caller()))[1]


async def create_token(settings: Settings, *, days: int | None, owner: str | None, **fields: Any) -> str:
    """Return the token's secret."""
    async with admin_session(settings, name="token") as session:
        token = read_fields(TokenIn, fields)
        account = await _find_account(session, owner) if owner is not None else None
        return (
            await tokens.create_token(
                session,
                name=token.name,
                role=token.role,
                region_code=token.region_code,
                provider=token.provider,
                owner=account,
                days=days,
                caller=command_line_caller(),
            )
        )[1]


async def list_tokens(settings: Settings) -> list[dict[str, Any]]:
    async with admin_session(settings, name="token") as session:
        return await tokens.list_tokens(session, caller=command_line_caller(), after=None, limit=ALL_ROWS)


async def revoke_token(settings: Settings, token_id: int) -> None:
    async with admin_session(settings, name="token") as session:
        await tokens.revoke_token(session, token_id, caller=command_line_caller())


async def issue_agent(settings: Settings, site: str, kind: str) -> str:
    """Return the agent's script, with a new token in it."""
    if kind not in set(AgentKind):
        raise SettingsError(f"--kind is one of {', '.join(AgentKind)}")
    async with admin_session(settings, name="agent") as session:
        return await installation.issue(
            session,
            site,
            AgentKind(kind),
            caller=command_line_caller(),
            settings=settings,
            url=installation.ingest_url(settings),
        )


async def revoke_agent(settings: Settings, site: str) -> int:
    async with admin_session(settings, name="agent") as session:
        return await installation.revoke(session, site, caller=command_line_caller())


async def _find_account(session: AsyncSession, username: str) -> Account:
    account = await store.find_account(session, username.strip().lower())
    if account is None:
        raise SettingsError(f"there is no account {username}: `sinyal account list` shows them")
    return account


def read_fields(model: type[Model], fields: dict[str, Any]) -> Model:
    """Raises Invalid with every fault, as the API would tell it."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise Invalid(*faults_from(map(dict, error.errors()))) from None
