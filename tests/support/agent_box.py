"""A device for trials of the agents: network, RAM disk, disk, clocks and power switch of its own. Needs root.

Each start is a time namespace, in which the uptime begins near 0, and a process namespace, which a power cut ends.
What the wall clock, the hardware clock and NTP show is set by the trial; each ping notes when it really ran.
"""

import contextlib
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from simulator.namespace import Namespace
from tests.agents.agent_machine import busybox_tools, linux_tools

DATE = """#!/bin/sh
read -r ahead < {folder}/clock
exec {date} -d "@$(($({date} +%s) + ahead))" "$@"
"""
PING = """#!/bin/sh
at=$({date} +%s.%N)
read -r boot _ < {ram}/boot
read -r seq _ < {ram}/seq
{ping} "$@"
code=$?
echo "$boot $seq $at" >> {folder}/truth
exit $code
"""
TIMEDATECTL = '#!/bin/sh\nread -r synchronised < {folder}/ntp\necho "$synchronised"\n'
MOUNT = """
mount -t tmpfs -o size={ram_kb}k ram {ram} && mount -t tmpfs -o size={disk_kb}k disk {disk} && echo && exec sleep 100000
"""
DROP = "tc qdisc replace dev lo root tbf rate 8bit burst 10 limit 10"
PASS = "tc qdisc del dev lo root"


class Box:
    """`kind` linux: rows on the disk; openwrt: in RAM, started by cron."""

    def __init__(self, folder: Path, script: str, *, kind: str, ram_kb: int = 512, disk_kb: int = 512) -> None:
        self.folder, self.kind = folder, kind
        self.namespace = Namespace.open()
        self.inner_ram, self.inner_disk = folder / "ram", folder / "disk"
        for made in (folder, self.inner_ram, self.inner_disk):
            made.mkdir()
        mount = MOUNT.format(ram_kb=ram_kb, disk_kb=disk_kb, ram=self.inner_ram, disk=self.inner_disk)
        self._holder = subprocess.Popen(
            self.namespace.command(["unshare", "--mount", "sh", "-c", mount]), stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"\n"
        root = Path(f"/proc/{self._holder.pid}/root")
        self.ram, self.disk = root / str(self.inner_ram)[1:], root / str(self.inner_disk)[1:]
        self.spool = self.disk if kind == "linux" else self.ram
        self._machine: subprocess.Popen[bytes] | None = None
        self._install(script)

    def _install(self, script: str) -> None:
        self.tools = (busybox_tools if self.kind == "openwrt" else linux_tools)(self.folder / "tools")
        names = {"folder": self.folder, "ram": self.inner_ram, "date": shutil.which("date")}
        real_ping = shutil.which("ping") or f"{shutil.which('busybox')} ping"
        shims = {"date": DATE, "ping": PING.replace("{ping}", real_ping), "timedatectl": TIMEDATECTL}
        for name, text in shims.items():
            (self.tools / name).unlink(missing_ok=True)
            (self.tools / name).write_text(text.format(**names))
            (self.tools / name).chmod(0o755)
        self.set_clock(ahead_s=0, synchronised=False)
        (self.folder / "rtc").write_text("")
        (self.folder / "truth").touch()
        (self.folder / "sinyal.sh").write_text(script)
        subprocess.run(["sh", self.folder / "sinyal.sh"], env={"SINYAL_ROOT": str(self.folder)}, check=True)
        (self.agent,) = (path for path in self.folder.rglob("sinyal-agent") if path.is_file())
        self.conf = self.folder / "etc/sinyal.conf"
        self.configure(
            RUN=self.inner_ram,
            SPOOL=self.inner_disk if self.kind == "linux" else self.inner_ram,
            RTC=self.folder / "rtc",
        )

    def configure(self, **values: Any) -> None:
        with self.conf.open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in values.items())

    def set_clock(self, *, ahead_s: int, synchronised: bool) -> None:
        (self.folder / "clock").write_text(f"{ahead_s}\n")
        (self.folder / "ntp").write_text("yes\n" if synchronised else "no\n")

    def set_hardware_clock(self, ahead_s: float | None) -> None:
        """None: there is none. It stands still until it is set again: call it each second."""
        (self.folder / "rtc").write_text("" if ahead_s is None else f"{int(time.time() + ahead_s)}\n")

    def answer_pings(self, answered: bool) -> None:
        ignored = "/proc/sys/net/ipv4/icmp_echo_ignore_all"
        self._inside(["sh", "-c", f"echo {0 if answered else 1} > {ignored}"])

    def drop_packets(self, dropped: bool) -> None:
        """Drop all packets in silence: connections then wait for their repeated packets."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self._inside((DROP if dropped else PASS).split())

    def _inside(self, argv: list[str]) -> None:
        subprocess.run(self.namespace.command(argv), check=True, capture_output=True, timeout=60)

    def _command(self, argv: list[str]) -> list[str]:
        return ["nsenter", "--target", str(self._holder.pid), "--mount", "--net", "--", *argv]

    def start(self, *, cron: bool = False) -> None:
        """`cron`: have BusyBox' crond start an openwrt agent, within a minute; else it is started at once."""
        shell = [shutil.which("busybox") or "", "ash"] if self.kind == "openwrt" else [shutil.which("dash") or ""]
        environment = ["/usr/bin/env", "-i", f"PATH={self.tools}", f"SINYAL_CONF={self.conf}"]
        argv = [*environment, *shell, str(self.agent)]
        if cron and self.kind == "openwrt":
            crontab = self.folder / "cron/root"
            crontab.parent.mkdir(exist_ok=True)
            crontab.write_text(f"* * * * * {' '.join(argv)} each-minute\n")
            program = [argv[4], "crond", "-f", "-l", "8", "-L", "/dev/null", "-c", str(crontab.parent)]
        else:
            program = [*argv, "loop"]
        boottime = 5 - int(time.clock_gettime(time.CLOCK_BOOTTIME))
        unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--time", f"--boottime={boottime}"]
        self._machine = subprocess.Popen(self._command([*unshare, *program]), stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        """End all its processes at once."""
        if self._machine is not None:
            self._machine.send_signal(signal.SIGKILL)
            self._machine.wait()
            self._machine = None

    def power_cut(self) -> None:
        self.stop()
        time.sleep(0.2)  # the kernel ends the processes of the namespace
        for file in self.ram.iterdir():
            file.unlink()

    def fill(self, *, full: bool) -> None:
        """Fill the disk that holds the rows to its last byte, or free it."""
        filler = self.spool / "filler"
        filler.unlink(missing_ok=True)
        if full:
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(b"\0" * 4096)

    def read(self, name: str) -> str:
        try:
            return (self.ram / name).read_text().strip()
        except FileNotFoundError:
            return ""

    @property
    def rows(self) -> list[str]:
        """Lines that are still to be sent."""
        file = self.spool / "rows"
        return file.read_text().splitlines()[int(self.read("skip") or 0) :] if file.exists() else []

    @property
    def truth(self) -> dict[tuple[str, int], float]:
        """When the measurement of each row began."""
        moments: dict[tuple[str, int], float] = {}
        for line in (self.folder / "truth").read_text().splitlines():
            boot, seq, at = line.split()
            moments.setdefault((boot, int(seq)), float(at))
        return moments

    def close(self) -> None:
        self.stop()
        self._holder.kill()
        self._holder.wait()
        if self._holder.stdout is not None:
            self._holder.stdout.close()
        self.namespace.close()
