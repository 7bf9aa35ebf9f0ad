"""`sinyal account …`, `token …` and `agent …`. A secret stands alone on standard output; words go to standard error."""

import sys
from datetime import datetime
from typing import Annotated, Any

import typer

from app.cli.context import configured, run, say

account_commands = typer.Typer(no_args_is_help=True, help="Accounts that sign in with a password.")
token_commands = typer.Typer(no_args_is_help=True, help="API tokens.")

Role = Annotated[
    str,
    typer.Option(
        help="province_admin, province_operator, district_admin, district_operator, viewer or provider_viewer."
    ),
]
Provider = Annotated[str | None, typer.Option(help="The provider's slug, for provider_viewer.")]
TokenId = Annotated[int, typer.Argument(min=1, max=2**31 - 1, help="As `sinyal token list` shows it.")]
Username = Annotated[str, typer.Argument(help="As `sinyal account list` shows it.")]


@account_commands.command("create")
def account_create(
    username: Annotated[str, typer.Option(help="3 to 40 small letters, digits, '.', '_' or '-'.")],
    name: Annotated[str, typer.Option(help="The person's name.")],
    role: Role,
    region: Annotated[str, typer.Option(help="How far it reaches: 64 is the province.")] = "64",
    provider: Provider = None,
    password_stdin: Annotated[bool, typer.Option(help="Read the password from standard input.")] = False,
) -> None:
    """Make an account. Asks for a password; without one, or without a terminal, makes one and prints it, once."""
    from app.runtime import admin

    found = configured("account")
    password = _ask_password(from_stdin=password_stdin)
    initial = run(
        admin.create_account(
            found, username=username, name=name, role=role, region_code=region, provider=provider, password=password
        )
    )
    _show_password(initial)
    typer.echo(f"account {username.strip().lower()} is there", err=True)


@account_commands.command("list")
def account_list() -> None:
    """Every account."""
    from app.runtime import admin

    for one in run(admin.list_accounts(configured("account"))):
        state = "disabled" if one["disabled_at"] else f"last sign-in {_day(one['last_signed_in_at'])}"
        say(f"{one['username']:<20} {_reach(one):<40} {state:<24} {one['name']}")


@account_commands.command("disable")
def account_disable(username: Username) -> None:
    """Disable an account: its sessions end, its tokens stop working."""
    from app.runtime import admin

    run(admin.disable_account(configured("account"), username))
    typer.echo(f"account {username} is disabled", err=True)


@account_commands.command("reset-password")
def account_reset_password(username: Username) -> None:
    """Give an account a new password and print it, once; whoever is signed in is so no longer."""
    from app.runtime import admin

    _show_password(run(admin.reset_password(configured("account"), username)))


@token_commands.command("create")
def token_create(
    name: Annotated[str, typer.Option(help="Whose it is, and what for.")],
    role: Role,
    region: Annotated[
        str | None, typer.Option(help="How far it reaches; left out: as far as its account, else the province, 64.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Days until it expires.")] = None,
    provider: Provider = None,
    account: Annotated[str | None, typer.Option(help="The account that owns it; it never does more.")] = None,
) -> None:
    """Make an API token and print it, once: only its hash is kept. The database must run."""
    from app.runtime import admin

    found = configured("token")
    typer.echo(
        run(
            admin.create_token(
                found, name=name, role=role, region_code=region, provider=provider, days=days, owner=account
            )
        )
    )


@token_commands.command("list")
def token_list() -> None:
    """Every token, revoked and expired ones too; never their secrets."""
    from app.runtime import admin

    for one in run(admin.list_tokens(configured("token"))):
        state = "revoked" if one["revoked_at"] else f"ends {_day(one['expires_at'])}"
        used = f"used {_day(one['last_used_at'])}"
        say(f"{one['id']:>5} {_reach(one):<40} {one['username'] or '-':<20} {state:<16} {used:<15} {one['name']}")


@token_commands.command("revoke")
def token_revoke(id: TokenId) -> None:
    """Revoke a token: it is refused within five seconds."""
    from app.runtime import admin

    run(admin.revoke_token(configured("token"), id))
    typer.echo(f"token {id} is revoked", err=True)


def agent(
    site: Annotated[str, typer.Argument(help="Its id or its code.")],
    kind: Annotated[str, typer.Option(help="routeros, openwrt, linux or windows.")] = "openwrt",
    revoke: Annotated[bool, typer.Option("--revoke", help="End the token of its agent instead.")] = False,
) -> None:
    """Print a site's agent as a script, with a new token: the one before is over. The database must run."""
    from app.runtime import admin

    found = configured("agent")
    if revoke:
        count = run(admin.revoke_agent(found, site))
        typer.echo(f"{count} token{'' if count == 1 else 's'} revoked", err=True)
        return
    typer.echo(run(admin.issue_agent(found, site, kind)), nl=False)


def _ask_password(*, from_stdin: bool) -> str | None:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        return None
    asked: str = typer.prompt(
        "Password (empty: one is made)",
        default="",
        show_default=False,
        hide_input=True,
        confirmation_prompt=True,
        err=True,
    )
    return asked or None


def _show_password(password: str | None) -> None:
    if password is not None:
        typer.echo(password)
        typer.echo("shown this once; its owner sets another at the first sign-in", err=True)


def _reach(one: dict[str, Any]) -> str:
    return " ".join(filter(None, (one["role"], one["region_code"], one["provider"])))


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else "never"
