"""The files of config/ha as a machine of this cluster needs them: what is documented is what is tested."""

import os
import pwd
import re
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.settings import CONFIG_DIR
from tests.cluster.machines import Machine, Machines
from tests.cluster.processes import own_folder, unprivileged_user

FILES = CONFIG_DIR / "ha"
DATABASES, APPS, FRONT, SITES = ("db1", "db2", "db3"), ("app1", "app2"), "front", ("site1", "site2", "site3")
PAGES_PORT = 8080  # of the front: who is not root may not listen on 80
PASSWORD = "_PASSWORD"  # of names.env: POSTGRES_PASSWORD, …


@dataclass
class Configuration:
    """Renders files for a machine by names of its own: folders in `folder`, addresses of this cluster."""

    folder: Path
    machines: Machines
    network: str
    passwords: dict[str, str] = field(init=False)
    secret_key: str = field(init=False)

    def __post_init__(self) -> None:
        self.secret_key = secrets.token_hex(24)
        self.passwords = {name: secrets.token_hex(16) for name in self._examples() if name.endswith(PASSWORD)}

    def password(self, user: str) -> str:
        return self.passwords[user.upper() + PASSWORD]

    def render(self, file: str, machine: Machine) -> str:
        """Run `render` as docs/ha.md says. Raises RuntimeError with its message."""
        names = own_folder(self.folder / machine.name) / "names.env"
        if not names.exists():
            names.write_text("".join(f"{name}={value}\n" for name, value in self._names(machine).items()))
        argv = [str(FILES / "render"), machine.name, file, str(names)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        return done.stdout

    def write(self, file: str, machine: Machine, changes: Mapping[str, str] | None = None) -> Path:
        """Render a file into the machine's folder, readable to who runs unprivileged."""
        text = self.render(file, machine)
        for documented, here in (changes or {}).items():
            text = text.replace(documented, here)
        path = self.folder / machine.name / file
        path.write_text(text)
        path.chmod(0o644)
        return path

    def folder_of(self, machine: Machine, name: str) -> Path:
        return own_folder(own_folder(self.folder / machine.name) / name)

    def changes(self) -> dict[str, str]:
        """Where no user is called postgres, PostgreSQL cannot know its superuser by that."""
        user = unprivileged_user()
        if user is not None and user.pw_name == "postgres":
            return {}
        return {"local all postgres peer": "local all postgres scram-sha-256"}

    def _names(self, machine: Machine) -> dict[str, str]:
        names = self._examples() | self.passwords
        for n, name in enumerate(DATABASES, 1):
            names |= {f"NODE{n}": name, f"NODE{n}_ADDRESS": self.machines[name].address}
        names |= {f"{name.upper()}_ADDRESS": self.machines[name].address for name in (*APPS, FRONT)}
        folders = {
            "PG_DATA": "postgres",
            "PG_RUN": "run",
            "PG_LOG": "log",
            "ETCD_DATA": "etcd",
            "BACKUP_LOG": "log",
            "BACKUP_SPOOL": "spool",
            "BACKUP_LOCK": "lock",
            "HAPROXY_RUN": "run",
        }
        names |= {name: str(self.folder_of(machine, folder)) for name, folder in folders.items()}
        own = self.folder / machine.name
        return names | {
            "NETWORK": self.network,
            "PAGES_PORT": str(PAGES_PORT),
            "SECRET_KEY": self.secret_key,
            "HAPROXY_USER": (unprivileged_user() or pwd.getpwuid(os.getuid())).pw_name,
            "PG_BIN": str(postgres_bin()),
            "PG_PASS": str(own / "pgpass"),
            "PGBOUNCER_CONF": str(own),
            "BACKUP_CONF": str(own / "pgbackrest.conf"),
            "BACKUP_REPO": str(own_folder(self.folder / "repository")),
            "LOCAL": "127.0.0.1" if self.machines.separate else machine.address,
        }

    def _examples(self) -> dict[str, str]:
        return environment((FILES / "names.env").read_text(encoding="utf-8"))


def postgres_bin() -> Path:
    """Return the folder of Debian's newest PostgreSQL. Raises LookupError."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise LookupError("PostgreSQL is not installed: apt-get install postgresql")
    return found[-1].parent


def environment(text: str) -> dict[str, str]:
    """Return the variables of an environment file."""
    return dict(re.findall(r"^([A-Z][A-Z0-9_]*)=(.*)$", text, re.MULTILINE))
