"""The command line. Each command loads only what it needs, so `sinyal ping` starts as fast as a ping should."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from app.cli.account_commands import account_commands, agent, token_commands
from app.cli.context import configured, fail, run, say
from app.cli.ping import ping

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Evidence for how well the free village internet of East Kalimantan works.\n\n"
    "Settings come from SINYAL_* variables over config/sinyal.toml, where each one is described.",
)
app.add_typer(account_commands, name="account")
app.add_typer(token_commands, name="token")
import_commands = typer.Typer(no_args_is_help=True, help="Spreadsheets into the registry.")
app.add_typer(import_commands, name="import")
app.command(short_help="Ping many hosts at once.")(ping)
app.command(short_help="A site's agent, as a script.")(agent)

Supervised = Annotated[bool, typer.Option(hidden=True, help="End when standard input ends.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Instead of SINYAL_PORT.")]


def main() -> None:
    """Errors of settings, database and files are one line each; what is unexpected keeps its traceback."""
    from app.postgres.backup import BackupError
    from app.postgres.embedded import EmbeddedError
    from app.settings import SettingsError

    try:
        app()
    except (SettingsError, EmbeddedError, BackupError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or 'the database'}: {error.strerror or error}")


@app.command(short_help="Run everything: database, worker, api.")
def up(port: Port = None) -> None:
    """Run everything: embedded PostgreSQL (unless SINYAL_DATABASE_URL is set), worker and api, supervised."""
    from app.runtime import up as whole

    asyncio.run(whole.run(configured("up", port=port), say=say))


@app.command(short_help="Run everything over simulated villages.")
def demo(
    script: Annotated[Path | None, typer.Option(help="What happens, as TOML; without it, a lively day.")] = None,
    port: Port = None,
    history: Annotated[str | None, typer.Option(help="Before it starts, a simulated past: 90d.")] = None,
) -> None:
    """Run everything over a simulated network: every village of Kaltim, measured by real ICMP."""
    from simulator import demo as simulated
    from simulator.history.length import HistoryError, read_days
    from simulator.script import ScriptError

    try:
        days = None if history is None else read_days(history)
        asyncio.run(simulated.run(configured("demo", port=port), script, history_days=days, say=say))
    except (ScriptError, HistoryError) as error:
        fail(str(error))


@app.command(short_help="Probe, judge and store.")
def worker(supervised: Supervised = False) -> None:
    """Probe, judge and store; a second worker waits until the first one ends."""
    from app.runtime.supervisor import end_with_parent
    from app.worker.process import work

    found = configured("worker")
    if supervised:
        end_with_parent()
    run(work(found))


@app.command()
def api(
    port: Port = None,
    workers: Annotated[int, typer.Option(min=1)] = 1,
    supervised: Supervised = False,
    listen_fd: Annotated[int | None, typer.Option(hidden=True, help="A listening socket that was handed down.")] = None,
) -> None:
    """Serve the REST API."""
    from app.runtime import server
    from app.runtime.supervisor import end_with_parent

    found = configured("api", port=port)
    if supervised:
        end_with_parent()
    server.run(found, workers=workers, listen_fd=listen_fd)


@app.command(short_help="Bring the database up to date.")
def migrate() -> None:
    """Bring the database's tables and regions to this version; safe to run at any time."""
    from app.runtime.supervisor import database

    async def migrated() -> None:
        async with database(configured("migrate")):
            typer.echo("the database is up to date")

    asyncio.run(migrated())


@app.command(short_help="Write the whole database to FILE.")
def backup(file: Path, overwrite: Annotated[bool, typer.Option(help="Replace FILE if it exists.")] = False) -> None:
    """Write the whole database to FILE (pg_dump's custom format). It holds contacts and token hashes: keep it safe."""
    from app.postgres import backup as copies
    from app.runtime.admin_session import running_database

    with running_database(configured("backup")) as url:
        copies.backup(url, file, overwrite=overwrite)
    typer.echo(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


@app.command(short_help="Replace the whole database by FILE.")
def restore(file: Path) -> None:
    """Replace the whole database by FILE, which `sinyal backup` wrote. No worker may run meanwhile."""
    from app.postgres import backup as copies
    from app.postgres.engine import NEW_GENERATION
    from app.runtime.admin_session import no_worker, running_database

    found = configured("restore")
    with running_database(found) as url:
        copies.restore(url, file, exclusive=no_worker(url), then=NEW_GENERATION)
    migrate()


@app.command(short_help="Check this machine and its settings.")
def doctor() -> None:
    """Check what this machine and its settings allow, and say how to mend what they do not."""
    from app.cli.doctor import checkup

    raise SystemExit(run(checkup.run(configured("doctor"), say=say)))


@app.command(short_help="Sites by state, and those that are down.")
def status(
    region: Annotated[str | None, typer.Option(help="A region's code, for example 64.02.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Again every 5 seconds.")] = False,
) -> None:
    """Count the sites in each state, and list those that are down."""
    from app.cli import status_command

    run(status_command.run(configured("status"), region=region, watch=watch, say=say))


@import_commands.command("sites", short_help="Sites from a CSV or XLSX file.")
def import_sites(
    file: Path,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would happen.")] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Write the rows that are right though others are wrong.")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="Write the file again, with what became of each row.")] = None,
    lang: Annotated[str, typer.Option(help="id or en.")] = "id",
) -> None:
    """Register and change sites from a district's spreadsheet; ends with 1 when rows are wrong. The database must run.

    All rows are written, or with a wrong one among them none (unless --partial). The same file again changes nothing.
    """
    from app.cli import import_command

    if lang not in {"id", "en"}:
        fail("--lang is id or en")
    right = run(
        import_command.sites(
            configured("import"), file, dry_run=dry_run, partial=partial, report_to=report, spoken=lang, say=say
        )
    )
    raise SystemExit(0 if right else 1)


if __name__ == "__main__":
    main()
