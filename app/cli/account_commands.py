"""`sinyal account …`, `token …` and `agent …`. Secrets go to standard output, everything else to standard error."""

import sys
from datetime import datetime
from typing import Annotated, Any

import typer

from app.cli.context import configured, run, say, write

account_commands = typer.Typer(no_args_is_help=True, help="Manage the accounts that people sign in with.")
token_commands = typer.Typer(no_args_is_help=True, help="Manage the API tokens that programs use.")

Role = Annotated[
    str,
    typer.Option(
        help="province_admin, province_operator, district_admin, district_operator, viewer or provider_viewer."
    ),
]
Provider = Annotated[str | None, typer.Option(help="The provider's slug; only for the role provider_viewer.")]
TokenId = Annotated[int, typer.Argument(min=1, max=2**31 - 1, help="The token's id, see `sinyal token list`.")]
Username = Annotated[str, typer.Argument(help="The account's username, see `sinyal account list`.")]


@account_commands.command("create")
def account_create(
    username: Annotated[str, typer.Option(help="3 to 40 lower-case letters, digits, '.', '_' or '-'.")],
    name: Annotated[str, typer.Option(help="The person's name.")],
    role: Role,
    region: Annotated[
        str, typer.Option(help="Code of the region it may see: 64 is the province, 64.02 a district.")
    ] = "64",
    provider: Provider = None,
    password_stdin: Annotated[
        bool, typer.Option(help="Read the password from standard input instead of asking for it.")
    ] = False,
) -> None:
    """Create an account.

    Asks for its password. Without one, or without a terminal, a password is generated and printed once.
    """
    from app.runtime import admin

    settings = configured("account")
    generated = run(
        admin.create_account(
            settings,
            username=username,
            name=name,
            role=role,
            region_code=region,
            provider=provider,
            password=_ask_password(from_stdin=password_stdin),
        )
    )
    _show_password(generated)
    typer.echo(f"account {username.strip().lower()} created", err=True)


@account_commands.command("list")
def account_list() -> None:
    """List all accounts: username, role and region, last sign-in, name."""
    from app.runtime import admin

    for account in run(admin.list_accounts(configured("account"))):
        state = "disabled" if account["disabled_at"] else f"last sign-in {_day(account['last_signed_in_at'])}"
        say(f"{account['username']:<20} {_scope(account):<40} {state:<24} {account['name']}")


@account_commands.command("disable")
def account_disable(username: Username) -> None:
    """Disable an account: end its sessions and refuse its tokens."""
    from app.runtime import admin

    run(admin.disable_account(configured("account"), username))
    typer.echo(f"account {username} disabled", err=True)


@account_commands.command("reset-password")
def account_reset_password(username: Username) -> None:
    """Give an account a new password, print it once, and end the account's sessions."""
    from app.runtime import admin

    _show_password(run(admin.reset_password(configured("account"), username)))


@token_commands.command("create")
def token_create(
    name: Annotated[str, typer.Option(help="Who uses it, and what for.")],
    role: Role,
    region: Annotated[
        str | None,
        typer.Option(help="Code of the region it may read. Default: its account's region, else the province, 64."),
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Days until it expires. Default: never.")] = None,
    provider: Provider = None,
    account: Annotated[
        str | None, typer.Option(help="Username of the account that owns it; it never may more than its owner.")
    ] = None,
) -> None:
    """Create an API token and print it once: only its hash is stored. Needs the running database."""
    from app.runtime import admin

    say(
        run(
            admin.create_token(
                configured("token"),
                name=name,
                role=role,
                region_code=region,
                provider=provider,
                days=days,
                owner=account,
            )
        )
    )


@token_commands.command("list")
def token_list() -> None:
    """List all tokens, revoked and expired ones too, without their secrets."""
    from app.runtime import admin

    for token in run(admin.list_tokens(configured("token"))):
        state = "revoked" if token["revoked_at"] else f"expires {_day(token['expires_at'])}"
        used = f"used {_day(token['last_used_at'])}"
        owner = token["username"] or "-"
        say(f"{token['id']:>5} {_scope(token):<40} {owner:<20} {state:<18} {used:<15} {token['name']}")


@token_commands.command("revoke")
def token_revoke(id: TokenId) -> None:
    """Revoke a token: it is refused within five seconds."""
    from app.runtime import admin

    run(admin.revoke_token(configured("token"), id))
    typer.echo(f"token {id} revoked", err=True)


def agent(
    site: Annotated[str, typer.Argument(help="The site's id or code.")],
    kind: Annotated[str, typer.Option(help="The device: routeros, openwrt, linux or windows.")] = "openwrt",
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Revoke the site's agent token instead of issuing one.")
    ] = False,
) -> None:
    """Print the agent script of a site, with a new device token in it; the previous token is revoked.

    Needs the running database.
    """
    from app.runtime import admin

    settings = configured("agent")
    if revoke:
        count = run(admin.revoke_agent(settings, site))
        typer.echo(f"{count} token{'' if count == 1 else 's'} revoked", err=True)
        return
    write(run(admin.issue_agent(settings, site, kind)))


def _ask_password(*, from_stdin: bool) -> str | None:
    """Return what was typed, None for a password to be generated."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        return None
    typed: str = typer.prompt(
        "Password (empty: generate one)",
        default="",
        show_default=False,
        hide_input=True,
        confirmation_prompt=True,
        err=True,
    )
    return typed or None


def _show_password(password: str | None) -> None:
    if password is not None:
        say(password)
        typer.echo("password shown this once; it must be changed at the first sign-in", err=True)


def _scope(row: dict[str, Any]) -> str:
    return " ".join(filter(None, (row["role"], row["region_code"], row["provider"])))


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else "never"
