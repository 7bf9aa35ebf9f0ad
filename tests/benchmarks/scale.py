"""The whole service at several sizes, as `sinyal up` runs it: what a look costs, how late it is sent, what it leaves.

SITES=1038,10000,100000 MINUTES=3 python -m tests.benchmarks.scale. Every site is active and is sent three
packets a minute over the loopback, whose kernel answers. Beside it fping in the same shape, over the same addresses.
Exits with 1 if a limit is missed. On a machine whose loopback others use too: in a network namespace of its own
(`unshare --net`, loopback up). What readings take once they are packed: `tests.benchmarks.packs`.
"""

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from tests.benchmarks.packet_times import PacketTimes
from tests.benchmarks.scale_registry import address
from tests.benchmarks.scale_service import Service, register, service
from tests.support.demo_process import wait_for

INTERVAL_S, PACKETS = 60, 3
SAMPLED, SAMPLE = 500, 77  # sites whose packets are timed, at least; those of them that end in these bits
ALL_UP_S, STORED_S, FPING_S = 600, 12, 20
LATEST_S = 5.0  # a slot that was not served by then is a missed one
MOST_PACKETS_A_SECOND = 20_000  # as the settings have it
SMALL = 1_038
LIMIT_MS, SMALL_LIMIT_S, LATE_LIMIT_S = 0.12, 0.45, 1.0
COUNTED = ("faults", "missed_slots", "misfires", "overruns", "dropped_readings", "failed_writes")
OTHERS = "docs/adr/0001, at 10,000 sites: Zabbix 7.0 without triggers 0.41 ms a look, with triggers 0.68"

HOT = """
    SELECT sum(pg_total_relation_size(oid))::float / (SELECT count(*) FROM measurement) FROM pg_class
    WHERE relkind = 'r' AND relname LIKE 'measurement\\_%'
"""
UP = "SELECT count(*) FROM site_status WHERE state = 'up'"
LOOKS = """
    SELECT count(*) FROM measurement WHERE slot >= to_timestamp($1) AND slot < to_timestamp($2) AND source = 'central'
"""
STORED = """
    SELECT site_id, extract(epoch FROM slot)::bigint AS slot FROM measurement
    WHERE slot >= to_timestamp($1) AND slot < to_timestamp($2) AND source = 'central' AND site_id = ANY($3)
"""


@dataclass
class Measured:
    sites: int
    minutes: float
    looks: int  # stored, of all these minutes
    cpu_s: dict[str, float]
    memory_mb: dict[str, float]
    counted: dict[str, float]
    late_s: list[float]  # by sampled look, from its slot to its first packet
    hot_bytes: float  # a reading that is not packed yet, with its index
    unmatched: int  # sampled readings without a packet, and packets without a reading
    fping_ms: float | None = None

    @property
    def ms_a_look(self) -> float:
        return 1000 * sum(self.cpu_s.values()) / self.looks

    @property
    def late_p99_s(self) -> float:
        return statistics.quantiles(self.late_s, n=100)[98] if len(self.late_s) > 1 else 0.0


def main() -> None:
    measured = []
    for size in os.environ.get("SITES", "1038,10000,100000").split(","):
        measured.append(measure(int(size)))
        _print(measured[-1])
    print(f"others: {OTHERS}")
    _print_estimate(measured)
    if missed := [miss for row in measured for miss in misses(row)]:
        raise SystemExit("".join(f"MISSED  {miss}\n" for miss in missed).rstrip())


def measure(sites: int) -> Measured:
    """Run the service over a registry of this size until all sites are up, and measure some minutes."""
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as parent:
        folder, began = Path(parent, "data"), time.monotonic()
        register(folder, sites)
        _say(f"{sites:,} sites registered in {time.monotonic() - began:.0f} s")
        mask, rate = sample_mask(sites), str(max(MOST_PACKETS_A_SECOND, 2 * PACKETS * sites // INTERVAL_S))
        with _packet_times(mask) as packets, service(folder, SINYAL_PROBE__PACKETS_PER_SECOND=rate) as running:
            up_s = wait_for(lambda: running.query(UP)[0][0] == sites, ALL_UP_S, every_s=5)
            _say(f"all up after {up_s:.0f} s")
            time.sleep(float(os.environ.get("SETTLE_S", "90")))
            found = _measure(running, sites, mask, packets)
        print_log(folder.with_suffix(".log"))
        found.fping_ms = fping_ms(sites, Path(parent))
    return found


def _measure(running: Service, sites: int, mask: int, packets: PacketTimes | None) -> Measured:
    begin, before, counted = time.time(), running.cpu_s(), running.figures()
    time.sleep(60 * float(os.environ.get("MINUTES", "3")))
    after, counted_after, end = running.cpu_s(), running.figures(), time.time()
    if begin // 3600 < end // 3600:
        _say("a full hour is within what was measured, with its checkpoints and rollups")
    memory = running.memory_mb()
    time.sleep(STORED_S)
    late_s, unmatched = ([], 0) if packets is None else lateness(running, packets, mask, (begin, end), sites)
    return Measured(
        sites,
        (end - begin) / 60,
        running.query(LOOKS, begin, end)[0][0],
        {name: after[name] - before[name] for name in after},
        memory,
        {name: counted_after[name] - counted[name] for name in COUNTED},
        late_s,
        running.query(HOT)[0][0],
        unmatched,
    )


def lateness(
    running: Service, packets: PacketTimes, mask: int, period: tuple[float, float], sites: int
) -> tuple[list[float], int]:
    """Return how late the sampled looks were sent, and how many of packets and readings have no counterpart."""
    sample = {n: address(n) for n in range(1, sites + 1) if n & mask == SAMPLE & mask}
    slots = defaultdict(list)
    for row in running.query(STORED, *period, list(sample)):
        slots[row["site_id"]].append(row["slot"])
    late_s, unmatched = [], 0
    for site_id, host in sample.items():
        sent = [at for at in packets.looks.get(host, []) if period[0] <= at < period[1]]
        firsts = {slot: at for slot in slots[site_id] for at in reversed(sent) if -0.5 < at - slot < INTERVAL_S / 2}
        late_s += [at - slot for slot, at in firsts.items()]
        unmatched += sum(at > period[0] + LATEST_S for at in set(sent) - set(firsts.values()))
        unmatched += sum(slot < period[1] - LATEST_S for slot in set(slots[site_id]) - set(firsts))
    return late_s, unmatched


def sample_mask(sites: int) -> int:
    """Return the last bits of an address that all sampled sites share."""
    mask = 0
    while sites // (2 * mask + 2) >= SAMPLED:
        mask = 2 * mask + 1
    return mask


@contextmanager
def _packet_times(mask: int) -> Iterator[PacketTimes | None]:
    try:
        packets = PacketTimes(mask=0xFF000000 | mask, value=0x7F000000 | SAMPLE & mask)
    except PermissionError:
        _say("packets are not timed: that needs CAP_NET_RAW")
        yield None
        return
    with packets:
        yield packets


def fping_ms(sites: int, folder: Path) -> float | None:
    """Return fping's CPU ms a host in the same shape: those of each second by a process that sends them 3 packets."""
    if shutil.which("fping") is None:
        return None
    processes, total_s = [], 0.0
    for second in range(FPING_S):
        file = folder / f"{second}.txt"
        file.write_text("".join(f"{address(n)}\n" for n in range(1 + second, sites + 1, INTERVAL_S)))
        command = ["fping", "-q", "-i", "0", "-c", str(PACKETS), "-p", "1000", "-t", "2000", "-f", str(file)]
        processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        time.sleep(1)
    for process in processes:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        total_s += usage.ru_utime + usage.ru_stime
    return 1000 * total_s / sum(len(range(1 + second, sites + 1, INTERVAL_S)) for second in range(FPING_S))


def misses(row: Measured) -> list[str]:
    """Return the limits that were missed."""
    total_s = sum(row.cpu_s.values()) / row.minutes
    small = [f"{total_s:.2f} CPU s a minute, limit {SMALL_LIMIT_S}"] if total_s > SMALL_LIMIT_S else []
    large = [f"{row.ms_a_look:.3f} ms a look, limit {LIMIT_MS}"] if row.ms_a_look > LIMIT_MS else []
    late = [f"p99 {row.late_p99_s:.2f} s late, limit {LATE_LIMIT_S}"] if row.late_p99_s > LATE_LIMIT_S else []
    counted = [f"{count:g} {name}" for name, count in row.counted.items() if count]
    unmatched = [f"{row.unmatched} packets or readings without a counterpart"] if row.unmatched else []
    return [f"{row.sites:,} sites: {x}" for x in (small if row.sites <= SMALL else large) + late + counted + unmatched]


def _print(row: Measured) -> None:
    print(f"{f'{row.sites:,} sites':<18}" + "".join(f"{name:>11}" for name in (*row.cpu_s, "all")))
    _print_row("CPU s a minute", [used / row.minutes for used in row.cpu_s.values()], ".2f")
    _print_row("ms a look", [1000 * used / row.looks for used in row.cpu_s.values()], ".4f")
    _print_row("memory, MB", list(row.memory_mb.values()), ".0f")
    fping = "not measured" if row.fping_ms is None else f"{row.fping_ms:.4f} ms a look"
    middle, most = (statistics.median(row.late_s), max(row.late_s)) if row.late_s else (0.0, 0.0)
    due = row.sites * row.minutes * 60 / INTERVAL_S
    print(
        f"looks             {row.looks:,} of {due:,.0f} due, {row.hot_bytes:.0f} bytes each until packed; fping {fping}"
    )
    late = f"{middle:.3f} s median, {row.late_p99_s:.3f} p99, {most:.3f} most"
    print(f"sent late by      {late}, of {len(row.late_s)} looks")
    print(f"without fellow    {row.unmatched} of these, packets or readings")
    print("counted           " + ", ".join(f"{name} {count:g}" for name, count in row.counted.items()), flush=True)


def _print_row(name: str, values: Sequence[float], form: str) -> None:
    print(f"{name:<18}" + "".join(f"{number:>11{form}}" for number in (*values, sum(values))))


def _print_estimate(measured: list[Measured], sites: int = 1_000_000) -> None:
    """Print what a million sites would cost, by a line through the two largest sizes."""
    large = sorted(measured, key=lambda row: row.sites)[-2:]
    if len(large) < 2 or large[-1].sites >= sites:
        return
    share = (sites - large[0].sites) / (large[1].sites - large[0].sites)
    cpu = [sum(row.cpu_s.values()) / row.minutes for row in large]
    memory = [sum(row.memory_mb.values()) for row in large]
    cpu_s, mb = (low + share * (high - low) for low, high in (cpu, memory))
    print(f"estimated for {sites:,}: {cpu_s:.0f} CPU s a minute ({cpu_s / 60:.1f} cores), {mb / 1024:.1f} GB of memory")


def print_log(file: Path) -> None:
    """Print what the service warned of, each kind once with its first example."""
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for line in file.read_text().splitlines():
        entry = orjson.loads(line) if line.startswith("{") else {"event": line, "level": "error"}
        if entry["level"] != "info":
            kind = f"{entry.get('component')} {entry['event'].strip().partition(chr(10))[0]}"
            counts[kind] += 1
            examples.setdefault(kind, line[:400])
    for kind, count in counts.most_common(10):
        _say(f"logged {count} times: {kind}: {examples[kind]}")


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S', time.gmtime())}  {line}", flush=True)


if __name__ == "__main__":
    main()
