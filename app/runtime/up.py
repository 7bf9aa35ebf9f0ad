"""`sinyal up`: the whole service on one machine."""

import asyncio
import socket
from collections.abc import Callable

from app.runtime import data_dir, instance
from app.runtime.admin import welcome
from app.runtime.supervisor import Child, database, sinyal, stop_on_signals, supervise
from app.settings import Settings, SettingsError


async def run(given: Settings, *, say: Callable[[str], None]) -> None:
    require_port(given)
    stop = stop_on_signals()
    environment = child_environment(given)
    with data_dir.claimed(given.data_dir, data_dir.SERVICE), instance.recorded(given):
        await _run(given, environment, stop, say)


async def _run(given: Settings, environment: dict[str, str], stop: asyncio.Event, say: Callable[[str], None]) -> None:
    async with database(given) as (_, cluster):
        await welcome(given, say)
        address = address_of(given)
        await supervise(
            [
                Child("worker", sinyal("worker", "--supervised"), environment),
                Child("api", sinyal("api", "--supervised"), environment),
            ],
            cluster=cluster,
            stop=stop,
            ready_url=f"{address}/readyz",
            when_ready=lambda: say(f"ready: {address}{given.root_path} (API: /docs)"),
        )


def address_of(given: Settings) -> str:
    """Where this machine itself reaches the api."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(given.host, given.host)  # noqa: S104  # compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{given.port}"


def child_environment(given: Settings) -> dict[str, str]:
    """What the command line changed of the settings that children read for themselves."""
    return {"SINYAL_DATA_DIR": str(given.data_dir.resolve()), "SINYAL_PORT": str(given.port)}


def require_port(given: Settings) -> None:
    """Raises SettingsError when something else listens there already."""
    family = socket.AF_INET6 if ":" in given.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((given.host, given.port))
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {given.host}:{given.port} ({error.strerror}); set SINYAL_HOST and SINYAL_PORT"
            ) from None
