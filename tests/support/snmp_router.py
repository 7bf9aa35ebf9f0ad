"""A router that answers SNMP on loopback: Debian's snmpd."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from probes.snmp_access import SnmpUser
from tests.support.demo_process import free_port

COMMUNITY = "rahasia"
USER = SnmpUser("pantau", "sha256", "kata sandi panjang", "kunci rahasia panjang")


@contextmanager
def open_router(folder: Path) -> Iterator[int]:
    """Yield its port. Its interface 1 is the loopback."""
    program = shutil.which("snmpd") or next((path for path in ("/usr/sbin/snmpd",) if Path(path).exists()), None)
    if program is None:
        pytest.skip("snmpd is not installed")
    port = free_port()
    config = folder / "snmpd.conf"
    config.write_text(
        f"agentaddress udp:127.0.0.1:{port}\nrocommunity {COMMUNITY} 127.0.0.1\n"
        f'createUser {USER.name} SHA-256 "{USER.auth_key}" AES "{USER.priv_key}"\nrouser {USER.name} priv\n'
    )
    log = folder / "snmpd.log"
    process = subprocess.Popen(
        [program, "-f", "-C", "-c", str(config), "-Lf", str(log)],
        env=os.environ | {"SNMP_PERSISTENT_DIR": str(folder)},
    )
    try:
        wait_until_it_listens(log, process)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def wait_until_it_listens(log: Path, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        if log.exists() and "NET-SNMP version" in log.read_text():
            return
        assert process.poll() is None, log.read_text() if log.exists() else "snmpd ended"
        time.sleep(0.05)
    raise AssertionError("snmpd does not listen")
