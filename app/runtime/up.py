"""`sinyal up`: the whole service on one machine."""

import asyncio
import socket
from collections.abc import Callable

from app.core.stopping import stop_on_signals
from app.runtime import data_dir, instance
from app.runtime.admin import create_first_account
from app.runtime.supervisor import GRACE_S, Child, database, sinyal, supervise
from app.settings import Settings, SettingsError
from app.worker.ingest_heartbeat import base_url


async def run(settings: Settings, *, say: Callable[[str], None]) -> None:
    require_ports(settings)
    stop = stop_on_signals()
    environment = child_environment(settings)
    with data_dir.claimed(settings.data_dir, data_dir.SERVICE), instance.recorded(settings):
        await _supervise(settings, environment, stop, say)


async def _supervise(
    settings: Settings, environment: dict[str, str], stop: asyncio.Event, say: Callable[[str], None]
) -> None:
    async with database(settings) as (_, cluster):
        await create_first_account(settings, say)
        address, devices = address_of(settings), base_url(settings)
        grace_s = GRACE_S + settings.drain_s
        await supervise(
            [
                Child("worker", sinyal("worker", "--supervised"), environment),
                Child("ingest", sinyal("ingest", "--supervised"), environment, grace_s=grace_s),
                Child("api", sinyal("api", "--supervised"), environment, grace_s=grace_s),
                Child("courier", sinyal("courier", "--supervised"), environment),
            ],
            cluster=cluster,
            stop=stop,
            ready_urls=ready_urls(settings),
            when_ready=lambda: say(f"ready: {address}{settings.root_path} (API: /docs; devices report to {devices})"),
        )


def address_of(settings: Settings, port: int | None = None) -> str:
    """Return the URL at which this machine itself reaches the API, or another port of ours."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104  # compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{port or settings.port}"


def ready_urls(settings: Settings) -> list[str]:
    return [f"{address_of(settings)}/readyz", f"{address_of(settings, settings.port_of_ingest)}/healthz"]


def child_environment(settings: Settings) -> dict[str, str]:
    """Return the settings that the command line may have changed, for children that read their own."""
    return {
        "SINYAL_DATA_DIR": str(settings.data_dir.resolve()),
        "SINYAL_PORT": str(settings.port),
        "SINYAL_INGEST_PORT": str(settings.port_of_ingest),
    }


def require_ports(settings: Settings) -> None:
    """Raise SettingsError when one of the ports cannot be listened on."""
    require_port(settings.host, settings.port, "SINYAL_HOST and SINYAL_PORT")
    require_port(settings.host, settings.port_of_ingest, "SINYAL_INGEST_PORT")


def require_port(host: str, port: int, remedy: str) -> None:
    """Raise SettingsError when the port cannot be listened on; `remedy`: the settings to change."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(f"cannot listen on {host}:{port} ({error.strerror}); set {remedy}") from None
