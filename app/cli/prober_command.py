"""`sinyal prober`: needs no settings file and no database."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from app.cli.context import fail, run

LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def prober(
    server: Annotated[
        str, typer.Option(metavar="URL", envvar="SINYAL_PROBER_SERVER", help="Of the API, as https://sinyal.example.")
    ],
    token: Annotated[
        str | None, typer.Option(envvar="SINYAL_PROBER_TOKEN", help="Better in the environment, or in a file.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(envvar="SINYAL_PROBER_TOKEN_FILE", help="A file that holds the token alone.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            envvar="SINYAL_PROBER_DATA",
            help="Folder of the spool, of this prober alone. Default: $STATE_DIRECTORY, else ./prober-data.",
        ),
    ] = None,
    canary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            envvar="SINYAL_PROBER_CANARIES",
            help="Beyond this machine's own uplink; repeatable. Default: the server's.",
        ),
    ] = None,
    spool_mb: Annotated[
        int, typer.Option(envvar="SINYAL_PROBER_SPOOL_MB", min=10, max=1_000_000, help="Of what is not delivered yet.")
    ] = 2000,
) -> None:
    """Probe the sites that the server assigns to this machine's prober, and deliver what was read.

    Register it first, by POST /api/v1/probers or `sinyal probers create`: that prints its token. While the server
    is away, readings are kept for a week.

    Exit code: 0 told to stop, 2 wrong options or a folder of another prober, 3 another process with this token took
    over, 4 the server needs a newer version, 5 the token was refused for a day.
    """
    import os

    from app.core import logging
    from app.prober.process import FolderInUse, ProberOptions, probe
    from app.runtime.loop_watchdog import watched_loop

    logging.configure("prober")
    folder = data or Path(os.environ.get("STATE_DIRECTORY", "").split(":")[0] or "prober-data")
    options = ProberOptions(
        _checked_url(server), _read_token(token, token_file), folder, _checked_hosts(canary or []), spool_mb * 1_000_000
    )

    async def watched() -> int:
        async with watched_loop():
            return await probe(options)

    try:
        code = run(watched())
    except FolderInUse as error:
        fail(str(error))
    raise SystemExit(code)


def _checked_url(server: str) -> str:
    parts = urlsplit(server)
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.query or parts.fragment:
        fail("--server is the address of the API, as https://sinyal.example")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        typer.echo("sinyal: warning: --server without https: whoever is on the way reads the token", err=True)
    return server


def _read_token(token: str | None, file: Path | None) -> str:
    if file is not None:
        try:
            token = file.read_text(encoding="utf-8").strip()
        except ValueError:
            fail(f"{file}: not a text")
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        fail("the prober's token is missing, or is none: --token-file, or SINYAL_PROBER_TOKEN")
    return token


def _checked_hosts(canaries: list[str]) -> list[str]:
    from probes.policy import is_hostname, parse_address

    hosts = [host for given in canaries for host in given.replace(",", " ").split()]
    for host in hosts:
        if parse_address(host) is None and not is_hostname(host):
            fail(f"--canary: {host!r} is neither an address nor a DNS name")
    return hosts
