"""The command line. Each command imports only what it needs, so that `sinyal ping` starts quickly."""

import asyncio
import gc
from pathlib import Path
from typing import Annotated

import typer

from app.cli.account_commands import account_commands, agent, token_commands
from app.cli.context import OutputClosed, announce, configured, end_by_sigpipe, fail, run, say
from app.cli.ping import ping
from app.cli.prober_command import prober
from app.cli.probers_commands import probers_commands

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Monitor the free village internet of East Kalimantan: probe the sites, judge outages, serve the evidence.\n\n"
    "Settings are SINYAL_* environment variables, else config/sinyal.toml, which describes each of them. "
    "`sinyal doctor` checks them, and this machine.",
)
app.add_typer(account_commands, name="account")
app.add_typer(token_commands, name="token")
app.add_typer(probers_commands, name="probers")
import_commands = typer.Typer(no_args_is_help=True, help="Import spreadsheets into the registry.")
app.add_typer(import_commands, name="import")
export_commands = typer.Typer(no_args_is_help=True, help="Export what is published.")
app.add_typer(export_commands, name="export")
app.command(short_help="Ping many hosts at once.")(ping)
app.command(short_help="Print the agent script of a site.")(agent)

# What a command imports stays: at the default threshold of 700 objects a quarter of its start is spent on garbage.
GC_THRESHOLDS = 50_000, 20, 20

Supervised = Annotated[bool, typer.Option(hidden=True, help="End when standard input ends.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="TCP port of the API, instead of SINYAL_PORT.")]
Dump = Annotated[Path, typer.Argument(metavar="FILE", help="A dump in pg_dump's custom format.")]


def main() -> None:
    """Run the command line. Known errors are one line on standard error; unexpected ones keep their traceback."""
    from app.postgres.backup import BackupError
    from app.postgres.embedded import EmbeddedError
    from app.settings import SettingsError

    gc.set_threshold(*GC_THRESHOLDS)
    try:
        app()
    except OutputClosed:
        end_by_sigpipe()
    except (SettingsError, EmbeddedError, BackupError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or 'the database'}: {error.strerror or error}")


@app.command(short_help="Run the whole service: database, worker, ingest, API and courier.")
def up(port: Port = None) -> None:
    """Run the whole service: worker, ingest, API, courier; without SINYAL_DATABASE_URL also an embedded PostgreSQL.

    What crashes is started again. On a new database the first account and its password are printed once.
    """
    from app.runtime import up as service

    asyncio.run(service.run(configured("up", port=port), say=announce))


@app.command(short_help="Run the whole service over a simulated village network.")
def demo(
    script: Annotated[
        Path | None, typer.Option(help="TOML file with the events to simulate. Default: random ones, without end.")
    ] = None,
    port: Port = None,
    history: Annotated[
        str | None, typer.Option(help="Write a simulated past first, on a new database: like 90d or 13w.")
    ] = None,
) -> None:
    """Run the whole service over a simulated network: every village of East Kalimantan, measured by real ICMP.

    Needs a data folder of its own; simulated and real measurements never share one.
    """
    from simulator import demo as simulated
    from simulator.history.plan import HistoryError, read_days
    from simulator.script import ScriptError

    try:
        days = None if history is None else read_days(history)
        asyncio.run(simulated.run(configured("demo", port=port), script, history_days=days, say=announce))
    except (ScriptError, HistoryError) as error:
        fail(str(error))


@app.command(short_help="Run the worker alone: probe, judge, store.")
def worker(supervised: Supervised = False) -> None:
    """Probe the sites, judge the readings and store them. A second worker waits until the first one ends."""
    from app.core.stopping import end_with_parent
    from app.runtime.loop_watchdog import watched_loop
    from app.worker.process import work

    async def watched() -> None:
        async with watched_loop():
            await work(settings)

    settings = configured("worker")
    if supervised:
        end_with_parent()
    run(watched())


app.command(short_help="Probe from this machine for a server elsewhere.")(prober)


@app.command(short_help="Run the courier alone: deliver alerts.")
def courier(supervised: Supervised = False) -> None:
    """Compose and deliver alerts. A second courier waits until the first one ends."""
    from app.core.stopping import end_with_parent, stop_on_signals
    from app.courier.egress import guard_other_threads
    from app.courier.process import deliver
    from app.runtime.loop_watchdog import watched_loop

    async def watched() -> None:
        async with watched_loop():
            await deliver(settings, stop_on_signals())

    settings = configured("courier")
    guard_other_threads(settings.receiver_policy)
    if supervised:
        end_with_parent()
    run(watched())


@app.command(short_help="Run the REST API alone.")
def api(
    port: Port = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of serving processes.")] = 1,
    supervised: Supervised = False,
) -> None:
    """Serve the REST API on SINYAL_HOST and SINYAL_PORT, over a migrated database."""
    from app.core.stopping import end_with_parent
    from app.runtime import server

    settings = configured("api", port=port)
    if supervised:
        end_with_parent()
    server.run_api(settings, workers=workers)


@app.command(short_help="Run ingest alone: take in what devices send.")
def ingest(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="TCP port, instead of SINYAL_INGEST_PORT.")] = None,
    supervised: Supervised = False,
    listen_fd: Annotated[int | None, typer.Option(hidden=True, help="An inherited listening socket.")] = None,
) -> None:
    """Take in what devices send, on SINYAL_HOST and SINYAL_INGEST_PORT, whatever the API is busy with."""
    from app.core.stopping import end_with_parent
    from app.runtime import server

    settings = configured("ingest")
    settings.ingest_port = port or settings.ingest_port
    if supervised:
        end_with_parent()
    server.run_ingest(settings, listen_fd=listen_fd)


@app.command(short_help="Migrate the database to this version.")
def migrate() -> None:
    """Migrate the database's schema and regions to this version. Safe to run at any time."""
    from app.runtime.supervisor import database

    async def migrated() -> None:
        async with database(configured("migrate")):
            say("database migrated")

    asyncio.run(migrated())


@app.command(short_help="Write the whole database to a file.")
def backup(file: Dump, overwrite: Annotated[bool, typer.Option(help="Replace FILE if it exists.")] = False) -> None:
    """Write the whole database to FILE, while it runs or not.

    The file holds contacts and token hashes: keep it safe.
    """
    from app.postgres import backup as dumps
    from app.runtime.admin_session import running_database

    with running_database(configured("backup")) as url:
        dumps.backup(url, file, overwrite=overwrite)
    say(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


@app.command(short_help="Replace the whole database by a backup.")
def restore(file: Dump) -> None:
    """Replace the whole database by FILE, written by `sinyal backup`, and migrate it. Stop the worker first."""
    from app.postgres import backup as dumps
    from app.postgres.engine import NEW_GENERATION
    from app.runtime.admin_session import no_worker, running_database

    settings = configured("restore")
    with running_database(settings) as url:
        dumps.restore(url, file, exclusive=no_worker(url), then=NEW_GENERATION)
    migrate()


@app.command(short_help="Check this machine and the settings.")
def doctor(
    packs: Annotated[bool, typer.Option("--packs", help="Check every pack of readings, not a sample.")] = False,
) -> None:
    """Check what this machine and the settings allow, one line a check, with the remedy for each problem.

    Exit code: 1 when a check fails, 0 otherwise (warnings included).
    """
    from app.cli.doctor import checkup

    raise SystemExit(run(checkup.run(configured("doctor"), say=say, all_packs=packs)))


@app.command(short_help="Count the sites by state and list those that do not work.")
def status(
    region: Annotated[str | None, typer.Option(help="Codes of regions, for example 64.02. Default: all.")] = None,
    provider: Annotated[str | None, typer.Option(help="Slugs of providers, for example telkom-wms.")] = None,
    technology: Annotated[str | None, typer.Option(help="fiber, radio, cellular, leo, geo.")] = None,
    state: Annotated[
        str | None, typer.Option(help="States to list, or up and unknown. Default: down,unreachable,degraded.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON, with all sites of --state.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Repeat every 5 seconds.")] = False,
) -> None:
    """Count the sites in each state and list those that do not work, straight from the database.

    Each filter takes several values, separated by commas. The text lists 20 sites of each state.

    The JSON object has generated_at, data_age_s (of the worker's last heartbeat, or null), blind_since (or null),
    regions, total, states (the number of sites in each, all five) and sites (as in GET /api/v1/status).
    """
    from app.cli import status_command
    from app.cli.status_command import StatusOptions

    options = StatusOptions(region, provider, technology, state)
    run(status_command.run(configured("status"), options, watch=watch, as_json=as_json, say=say))


@export_commands.command("open-data", short_help="Write a month's open data as files.")
def export_open_data(
    month: Annotated[str, typer.Option(help="A month that is closed, like 2026-10.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write to; created if it is missing.")],
    version: Annotated[int | None, typer.Option(min=1, help="A version. Default: the latest one.")] = None,
) -> None:
    """Write a month's open data, as it was published, into DIR. Needs the running database.

    A month that is due and not published yet is published first. Check the files with `sha256sum --check SHA256SUMS`.
    """
    from app.cli import export_command

    run(export_command.open_data(configured("export"), month, out, version=version, say=say))


@import_commands.command("sites", short_help="Import sites from a CSV or XLSX file.")
def import_sites(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV or XLSX file with a header row.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the rows, write nothing.")] = False,
    partial: Annotated[bool, typer.Option("--partial", help="Write the valid rows even if others are not.")] = False,
    default_probe: Annotated[
        str | None, typer.Option(help="Probe of new sites in a sheet without that column: icmp, push, tcp or http.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why contracts start before today; recorded and audited.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a copy of the file here, with the result of each row.")
    ] = None,
    lang: Annotated[str, typer.Option(help="Language of the messages: id or en.")] = "id",
) -> None:
    """Create and update sites from a spreadsheet. Needs the running database.

    All rows are written or, if one is invalid, none (unless --partial). Importing the same file again changes nothing.
    Exit code: 1 when a row is invalid.
    """
    from app.cli import import_command
    from probes.contract import ProbeKind

    if lang not in {"id", "en"}:
        fail("--lang is id or en")
    if default_probe not in {None, *ProbeKind}:
        fail("--default-probe is icmp, push, tcp or http")
    valid = run(
        import_command.sites(
            configured("import"),
            file,
            dry_run=dry_run,
            partial=partial,
            probe=None if default_probe is None else ProbeKind(default_probe),
            reason=reason,
            report_to=report,
            spoken=lang,
            say=say,
        )
    )
    raise SystemExit(0 if valid else 1)


if __name__ == "__main__":
    main()
