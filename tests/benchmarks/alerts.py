"""Alerts in a storm, at real HTTP and SMTP receivers: what is told, how soon, and what it costs.

python -m tests.benchmarks.alerts [storm] [kills] [hang] [provider] [quiet] [--minutes 10] [--outages 200] [--kills 30]

storm: 200 outages in 10 minutes, and what the courier costs. kills: the same, while worker, courier and PostgreSQL are
killed. hang: the same, with a receiver that hangs for the whole of it. provider: 1,038 sites down at once through one
provider; quiet: the same within quiet hours. Ends with 1 if something is told wrongly.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from app.access.scope import PROVINCE
from tests.support.demo_process import cpu_s, demo, resident_mb, wait_for
from tests.support.receivers import HANG, OK, http_receiver, smtp_receiver
from tests.support.storm_check import StormVerdict, pages, settled
from tests.support.storm_latency import stage_lines
from tests.support.storm_listeners import Listener, Receivers, set_up
from tests.support.storm_plan import INTERVAL_S, StormPlan, plan_storm
from tests.support.storm_run import Killer, Storm, start_time, storm

DISTRICTS = ("64.01", "64.02", "64.03", "64.07", "64.08", "64.09", "64.11", "64.71", "64.72", "64.74")
QUIET_DISTRICT = "64.02"
START_S = 100.0  # an idle minute before
MAINTAINED = 10
OF_SHARED_CAUSES = 3  # two of a provider in a district, and a tower
MOST_PER_OFFICE = 3
P95_LIMITS_S = {False: 60 + 60, True: 60 + 300}  # by whether the channel was busy: with the grouping wait, or interval
LONGEST_SILENCE_S = 2_700  # after flapping


def listeners(plan: StormPlan, *, stuck: bool = False) -> list[Listener]:
    """Every district and the province, by HTTP and e-mail, with what differs between rules."""
    own = [
        Listener(
            f"kabupaten-{district}",
            district,
            by_mail=number % 2 == 1,
            least_s=45,
            silent_until_s=plan.end_s - 60 if district == QUIET_DISTRICT else None,
        )
        for number, district in enumerate(DISTRICTS)
    ]
    return [
        *own,
        Listener("provinsi"),
        Listener("massal", kinds=("shared",), by_mail=True),
        Listener("orbit", provider="orbit", kinds=("down", "shared")),
        Listener("serat", technologies=("fiber",), by_mail=True),
        Listener("lama", least_s=145),
        Listener("sabar", least_s=86_400),
        *([Listener("macet")] if stuck else []),
    ]


def main() -> None:
    options = _options()
    failed: list[str] = []
    for part in options.parts or PARTS:
        print(f"-- {part}", flush=True)
        with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as parent:
            problems = PARTS[part](Path(parent, "data"), options)
        for problem in problems[:30]:
            print(f"WRONG: {problem}", flush=True)
        failed += problems
    if failed:
        sys.exit(1)


def _plan(options: argparse.Namespace) -> StormPlan:
    return plan_storm(
        sites=1_038,
        nodes=5,
        singles=options.outages - OF_SHARED_CAUSES,
        maintained=MAINTAINED,
        start_s=START_S,
        window_s=60 * options.minutes,
        lasts_s=((70, 110), (180, 240)),
    )


def _run_storm(folder: Path, options: argparse.Namespace) -> list[str]:
    plan = _plan(options)
    with storm(folder, plan, listeners(plan)) as run:
        _measure_courier(run)
        run.wait_until_told(LONGEST_SILENCE_S)
        return _report(run, run.check())


def _run_kills(folder: Path, options: argparse.Namespace) -> list[str]:
    plan = _plan(options)
    with storm(folder, plan, listeners(plan)) as run:
        run.wait_until(START_S)
        killer = Killer(run.running, options.kills, 60 * options.minutes / options.kills)
        killer.start()
        run.wait_until(plan.end_s)
        killer.end()
        run.wait_until_told(LONGEST_SILENCE_S)
        print(f"kill -9: {len(killer.done)}")
        return _report(run, run.check(killed_at=killer.began_at))


def _run_hang(folder: Path, options: argparse.Namespace) -> list[str]:
    plan = _plan(options)
    with storm(folder, plan, listeners(plan, stuck=True)) as run:
        run.receivers.http.reply("/macet", HANG)
        run.wait_until(START_S + 60 * options.minutes)
        run.receivers.http.reply("/macet", OK)
        run.wait_until_told(LONGEST_SILENCE_S)
        verdict = run.check()
        late = [one.total_s for one in verdict.latencies.pop("macet")]
        print(f"the receiver that hung got {len(late)} onsets, the last after {max(late, default=0):.0f} s")
        return _report(run, verdict)


def _measure_courier(run: Storm) -> None:
    """Print the courier's memory and CPU: idle before the storm, and within it."""
    courier = run.running.child("courier")
    before = cpu_s(courier)
    time.sleep(60)
    print(f"courier idle:  {cpu_s(courier) - before:.2f} CPU s a minute, {resident_mb(courier):.0f} MB")
    run.wait_until(START_S)
    before, began = cpu_s(courier), time.monotonic()
    run.wait_until(run.plan.end_s)
    minutes = (time.monotonic() - began) / 60
    print(f"courier storm: {(cpu_s(courier) - before) / minutes:.2f} CPU s a minute, {resident_mb(courier):.0f} MB")


def _report(run: Storm, verdict: StormVerdict) -> list[str]:
    print(_describe(run.plan))
    print("\n".join(verdict.lines()))
    for name, of in verdict.latencies.items():
        if of:
            seconds = [one.total_s for one in of]
            median, most = statistics.median(seconds), max(seconds)
            print(f"{name:<14} confirmation to acceptance: median {median:.0f} s, most {most:.0f} s")
    print("\n".join(stage_lines(verdict.onsets)))
    slow = []
    for busy, limit_s in P95_LIMITS_S.items():
        number, p95 = sum(one.busy is busy for one in verdict.onsets), verdict.p95_s(busy=busy)
        what = "told something within 5 minutes before" if busy else "quiet"
        print(f"channel {what}: {number} outages, p95 {p95:.0f} s of at most {limit_s} s")
        slow += [f"p95 {p95:.0f} s of channels {what}"] if p95 > limit_s else []
    print(f"came again: {verdict.repeated}; {run.missed()}")
    return verdict.problems + slow


def _describe(plan: StormPlan) -> str:
    shared = sum(outage.shared for outage in plan.outages)
    cut_off = [len(outage.cut_off) for outage in plan.outages if outage.cut_off]
    maintained = sum(outage.maintained for outage in plan.outages)
    return (
        f"{len(plan.outages)} outages, {shared} of a provider in a district, {len(cut_off)} of a tower that cuts off "
        f"{sum(cut_off)}, {maintained} within maintenance"
    )


def _run_provider(folder: Path, _options: argparse.Namespace, *, quiet: bool = False) -> list[str]:
    """All sites of the province at one provider, which fails for three minutes."""
    offices = [
        Listener(f"kantor-{office}", office, by_mail=number % 2 == 1, silent_until_s=480 if quiet else None)
        for number, office in enumerate((PROVINCE, *DISTRICTS))
    ]
    script = f'interval_s = {INTERVAL_S}\n[[event]]\nkind = "outage"\nstart_s = 240\nduration_s = 180\n'
    with http_receiver() as http, smtp_receiver() as smtp, demo(folder, script) as running:
        receivers = Receivers(http, smtp)
        for site in list(pages(running, "/sites", lifecycle="active")):
            running.client.patch(f"/sites/{site['id']}", json={"provider": "telkom-wms"}).raise_for_status()
        set_up(running, offices, receivers, started_at=start_time(running))
        wait_for(lambda: sum(site["state"] == "down" for site in running.sites().values()) >= 1_000, 400, every_s=1)
        wait_for(lambda: all(line["ended_at"] for line in running.truth()[-1:]), 400, every_s=1)
        wait_for(lambda: settled(running), 900, every_s=1)
        return _count(offices, receivers, most=1 if quiet else MOST_PER_OFFICE)


def _run_quiet(folder: Path, options: argparse.Namespace) -> list[str]:
    return _run_provider(folder, options, quiet=True)


def _count(offices: Sequence[Listener], receivers: Receivers, *, most: int) -> list[str]:
    got = {office.name: receivers.of(office).accepted(office.path) for office in offices}
    for name, messages in got.items():
        print(f"{name:<14} {len(messages)} messages: {[one.title for one in messages]}")
    return [f"{name}: {len(messages)} messages" for name, messages in got.items() if not 1 <= len(messages) <= most]


PARTS: dict[str, Callable[[Path, argparse.Namespace], list[str]]] = {
    "storm": _run_storm,
    "kills": _run_kills,
    "hang": _run_hang,
    "provider": _run_provider,
    "quiet": _run_quiet,
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.alerts")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--outages", type=int, default=200)
    parser.add_argument("--kills", type=int, default=30)
    return parser.parse_args()


if __name__ == "__main__":
    main()
