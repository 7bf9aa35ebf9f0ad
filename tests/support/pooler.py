"""A real PgBouncer before a database, with our configuration of config/ha."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from app.postgres.binaries import identity
from app.settings import CONFIG_DIR
from tests.support.demo_process import free_port, wait_for

FOLDER = CONFIG_DIR / "ha"


def rendered(file: str, home: Path, **names: str) -> str:
    """Return a file of config/ha with other names than those of names.env."""
    own = home / "names.env"
    lines = (FOLDER / "names.env").read_text().splitlines()
    own.write_text(
        "\n".join(
            f"{line.partition('=')[0]}={names.get(line.partition('=')[0], line.partition('=')[2])}"
            if "=" in line and not line.startswith("#")
            else line
            for line in lines
        )
        + "\n"
    )
    argv = [str(FOLDER / "render"), "app1", file, str(own)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@contextmanager
def pooler(url: str, home: Path, *, pool_size: int = 2) -> Iterator[str]:
    """Yield the URL of a PgBouncer in transaction mode before the server of `url`, a socket's folder."""
    program = shutil.which("pgbouncer")
    if program is None:
        pytest.skip("pgbouncer is missing: apt-get install pgbouncer")
    server, port = make_url(url), free_port()
    folders = {name: str(home) for name in ("PG_RUN", "PG_LOG", "PGBOUNCER_CONF")}
    names = folders | {"PGBOUNCER_PORT": str(port), "SINYAL_PASSWORD": str(server.password)}
    ini = rendered("pgbouncer.ini", home, **names).replace(
        "sinyal = host=127.0.0.1 port=5000 dbname=sinyal",
        f"{server.database} = host={server.query['host']} port={server.query['port']} pool_size={pool_size}",
    )
    (home / "pgbouncer.ini").write_text(ini)
    (home / "userlist.txt").write_text(rendered("userlist.txt", home, **names))
    who = identity(home)
    process = subprocess.Popen(
        [*who.prefix, program, str(home / "pgbouncer.ini")], stderr=subprocess.DEVNULL, **who.spawn
    )
    try:
        wait_for(lambda: "listening on" in log_of(home), 60)
        yield server.set(host="127.0.0.1", port=port, query={}).render_as_string(hide_password=False)
    finally:
        os.kill(process.pid, signal.SIGQUIT)
        process.wait(5)


def log_of(home: Path) -> str:
    log = home / "pgbouncer.log"
    return log.read_text() if log.exists() else ""
