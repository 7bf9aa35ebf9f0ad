"""`sinyal up`: the whole service on one machine."""

import asyncio
import socket
from collections.abc import Callable

from app.runtime import data_dir, instance
from app.runtime.admin import create_first_account
from app.runtime.supervisor import Child, database, sinyal, stop_on_signals, supervise
from app.settings import Settings, SettingsError


async def run(settings: Settings, *, say: Callable[[str], None]) -> None:
    require_port(settings)
    stop = stop_on_signals()
    environment = child_environment(settings)
    with data_dir.claimed(settings.data_dir, data_dir.SERVICE), instance.recorded(settings):
        await _supervise(settings, environment, stop, say)


async def _supervise(
    settings: Settings, environment: dict[str, str], stop: asyncio.Event, say: Callable[[str], None]
) -> None:
    async with database(settings) as (_, cluster):
        await create_first_account(settings, say)
        address = address_of(settings)
        await supervise(
            [
                Child("worker", sinyal("worker", "--supervised"), environment),
                Child("api", sinyal("api", "--supervised"), environment),
            ],
            cluster=cluster,
            stop=stop,
            ready_url=f"{address}/readyz",
            when_ready=lambda: say(f"ready: {address}{settings.root_path} (API: /docs)"),
        )


def address_of(settings: Settings) -> str:
    """Return the URL at which this machine itself reaches the API."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104  # compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def child_environment(settings: Settings) -> dict[str, str]:
    """Return the settings that the command line may have changed, for children that read their own."""
    return {"SINYAL_DATA_DIR": str(settings.data_dir.resolve()), "SINYAL_PORT": str(settings.port)}


def require_port(settings: Settings) -> None:
    """Raise SettingsError when the port cannot be listened on."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); set SINYAL_HOST and SINYAL_PORT"
            ) from None
