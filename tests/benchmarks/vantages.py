"""Sites looked at from two and three networks while a provider's link to some of them is cut, against the truth.

python -m tests.benchmarks.vantages [--keep FOLDER]

A service and three `sinyal prober`, each in a network of its own; the last of them stands at a provider. As root, for
the networks. Ends with 1 if anything that is answered is not what happened.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.core.clock import from_slot
from tests.benchmarks.vantage_service import CENTRE, PlannedSite, VantageService, label, vantage_service
from tests.benchmarks.vantage_truth import WatchedSite, clock, read_cuts, read_segment, sentences, wrong_segments
from tests.cluster import enclosure

INTERVAL_S, WARM_S, CUT_S, PAUSE_S, SETTLES_S = 10, 45, 75, 40, 45
KNOWN_S = 60  # after a cut: two looks, and what is waited for
NAMES = (CENTRE, "kampus", "kabupaten", "mitra")
RTT_MS = (10.0, 20.0, 30.0, 40.0)  # by vantage
LATE_MS = 9.0  # a busy machine answers so much later
A, B, HOST = "telkom-wms", "iconplus", "comtelindo"
HOSTED = {3: HOST}
FOLLOWED = {
    A: ((0, 1), (1, 0), (0, 1, 2), (2, 0, 1)),
    B: ((0, 1), (0, 2), (0, 1, 2), (1, 2, 0)),
    HOST: ((0, 3), (3, 1), (0, 1, 3), (3, 0, 1)),
}
EACH = 3  # sites of a provider that the same vantages look at
# What is cut first and then, by vantage: whose villages answer nothing there.
CUTS: tuple[Mapping[int, tuple[str, ...]], ...] = (
    {1: (A,), 0: (B,), 3: (HOST,)},
    {0: (A, B, HOST), 1: (A, B, HOST), 2: (A,)},  # the vantage at the provider goes on answering, and B's third does
)


def main() -> None:
    options = _options()
    if enclosure.is_inside():
        enclosure.fork_from_init()
        enclosure.end_with_parent()
        _run(options.folder)
        return
    with _folder(options.keep) as folder:
        if enclosure.run_inside(["--folder", str(folder)], module="tests.benchmarks.vantages"):
            sys.exit(1)


def _run(folder: Path) -> None:
    with vantage_service(folder, NAMES, interval_s=INTERVAL_S) as service:
        service.register(
            (PlannedSite(provider, seen) for provider, ways in FOLLOWED.items() for seen in ways for _ in range(EACH)),
            HOSTED,
        )
        service.start_looking({number: _script(number) for number in range(len(NAMES))})
        trial = Trial(service, time.time())
        trial.run()
        if not trial.report():
            sys.exit("FAILED")


def _script(number: int) -> str:
    """Return the script of a vantage's network: nothing is lost in it but what is cut."""
    lines = [f"seed = 1\n[technology.fiber]\nrtt_ms = {RTT_MS[number]}\njitter_ms = 0.0\nloss_pct = 0.0"]
    lines += [
        f'[[event]]\nkind = "outage"\nstart_s = {_start_s(phase)}\nduration_s = {CUT_S}\n'
        f'select = {{ provider = "{slug}" }}'
        for phase, cuts in enumerate(CUTS)
        for slug in cuts.get(number, ())
    ]
    return "\n".join(lines) + "\n"


def _start_s(phase: int) -> int:
    return WARM_S + phase * (CUT_S + PAUSE_S)


@dataclass
class Trial:
    service: VantageService
    began: float
    held: Counter[tuple[str, str]] = field(default_factory=Counter)  # by way of looking and what was checked
    wrong: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Ask while it lasts, and afterwards about all of it."""
        print(f"{len(self.service.sites)} sites of {len(FOLLOWED)} providers; a look each {INTERVAL_S} s", flush=True)
        for phase in range(len(CUTS)):
            self._wait_until(_start_s(phase) + KNOWN_S)
            self._check_present(f"cut {phase + 1}")
            self._wait_until(_start_s(phase) + CUT_S + PAUSE_S - 3)
            self._check_present(f"after {phase + 1}")
        self._wait_until(_start_s(len(CUTS)) + SETTLES_S - PAUSE_S)
        for site in self._sites():
            self._check_ledger(site)
            self._check_latency(site)
            for phase in range(len(CUTS)):
                self._check_second(site, self.began + _start_s(phase) + CUT_S * 0.7)

    def report(self) -> bool:
        """Print how many checks held, by the vantages of the sites; return whether all did."""
        checks = list(dict.fromkeys(check for _, check in self.held))
        width = max(map(len, checks)) + 2
        ways = list(dict.fromkeys(way for way, _ in self.held))
        print(f"{'sites looked at from':<26}" + "".join(f"{check:>{width}}" for check in checks))
        for way in ways:
            print(f"{way:<26}" + "".join(f"{self.held[way, check]:>{width}}" for check in checks))
        print("CPU seconds: " + ", ".join(f"{kind} {spent:.1f}" for kind, spent in self.service.cpu_s().items()))
        for line in self.wrong:
            print(f"WRONG {line}")
        print("as it happened" if not self.wrong else f"{len(self.wrong)} answers are not what happened", flush=True)
        return not self.wrong

    def _wait_until(self, seconds: float) -> None:
        time.sleep(max(0.0, self.began + seconds - time.time()))

    def _sites(self) -> list[WatchedSite]:
        cuts = {number: read_cuts(self.service.truth(number)) for number in range(len(NAMES))}
        return [
            WatchedSite(
                site["id"],
                site["code"],
                site["provider"],
                tuple(site["vantages"]),
                frozenset(number for number, slug in HOSTED.items() if slug == site["provider"]),
                {number: cuts[number].get(site["code"], []) for number in site["vantages"]},
            )
            for site in self.service.sites
        ]

    def _check_present(self, when: str) -> None:
        now, statuses = time.time(), {one["id"]: one for one in self.service.get("/status")["sites"]}
        for site in self._sites():
            status = statuses[site.id]
            told = status["state"], sorted(status.get("lost_from", []))
            self._note(site, "status", told, (site.state(now), sorted(site.lost_from(now))), when)
            items = self.service.get(f"/sites/{site.id}/vantages")["items"]
            self._note(site, "vantages", [_shown(item) for item in items], _must_show(site, now), when)
            for item in items:
                if item["lost_since"] is not None:
                    since = read_segment({"started_at": item["lost_since"], "ended_at": None, "state": ""}).start
                    (cut,) = [start for start, end in site.cuts[item["vantage"]] if start <= now < end] or [0.0]
                    self._note(site, "lost since", -1 <= since - cut <= INTERVAL_S + 1, True, when)

    def _check_ledger(self, site: WatchedSite) -> None:
        segments = self.service.get(f"/sites/{site.id}/segments", limit=1000)["items"]
        bounds = self.began + WARM_S - 5, time.time() - SETTLES_S / 2
        known = [one for one in segments if read_segment(one).end > bounds[0]]
        self._note(site, "ledger", wrong_segments(site, known, bounds, INTERVAL_S), [], "")

    def _check_second(self, site: WatchedSite, at: float) -> None:
        """Hold evidence and explanation of a second against the truth."""
        moment = from_slot(int(at)).isoformat()
        evidence = self.service.get(f"/sites/{site.id}/evidence", at=moment)
        said = {one["detail"].get("vantage", 0): one["says"] for one in evidence["statements"]}
        losing = site.losing(at)
        self._note(site, "evidence", said, {n: "down" if n in losing else "up" for n in site.vantages}, moment)
        self._note(site, "state then", evidence["ledger"]["state"], site.state(at), moment)
        why = [words["en"] for words in self.service.get(f"/sites/{site.id}/explanation", at=moment)["why"]]
        wanted = sentences(site, at, [label(number) for number in range(len(NAMES))])
        sight = [line for line in why if line.startswith(("Reached from", "Not reached from"))]
        self._note(site, "explanation", sight, wanted, moment)

    def _check_latency(self, site: WatchedSite) -> None:
        period = {"from": str(int(self.began + 15) * 1000), "to": str(int(time.time()) * 1000)}
        for asked in (None, *site.vantages):
            more = {} if asked is None else {"vantage": asked}
            answer = self.service.get(f"/sites/{site.id}/latency", **period, **more)
            number = site.vantages[0] if asked is None else asked
            p50 = answer["total"]["p50_ms"] or 0.0
            got = answer["vantage"], RTT_MS[number] * 0.97 <= p50 < RTT_MS[number] + LATE_MS or p50
            self._note(site, "latency", got, (number, True), f"?vantage={asked}")

    def _note(self, site: WatchedSite, check: str, found: Any, wanted: Any, when: str) -> None:
        way = f"{site.provider} {site.vantages}"
        if found == wanted:
            self.held[way, check] += 1
        else:
            lines = f"{clock(time.time())} {site.code} {way}, {check} {when}: {found}"
            self.wrong.append(f"{lines}, and not {wanted}" if wanted != [] else lines)


def _shown(item: Mapping[str, Any]) -> tuple[Any, ...]:
    rtt, least = item["rtt_ms"], RTT_MS[item["vantage"]]
    is_own = rtt is None or least <= rtt < least + LATE_MS
    return item["vantage"], item["outcome"], item["is_primary"], item["is_hosted"], item["decides"], is_own or rtt


def _must_show(site: WatchedSite, at: float) -> list[tuple[Any, ...]]:
    losing = site.losing(at)
    return [
        (n, "timeout" if n in losing else "ok", n == site.vantages[0], n in site.hosted, n in site.voters, True)
        for n in site.vantages
    ]


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        yield Path(folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.vantages")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="a new folder, in which data and logs stay")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
