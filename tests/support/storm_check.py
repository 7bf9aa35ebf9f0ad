"""Hold what receivers got in a storm against its plan: everyone heard once what they had to, and nothing else.

What has to be told comes from the plan, and truth.jsonl says that it happened; what was told comes from the receivers.
Read over the API: which incident is about which site, and which notification tells of it.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tests.support.demo_process import Demo
from tests.support.receivers import ReceivedMessage
from tests.support.storm_latency import OnsetLatency, onset_latencies, percentile_95
from tests.support.storm_listeners import Listener, Receivers, SetUp
from tests.support.storm_plan import PlannedOutage, StormPlan

ONSETS, ENDS = {"down", "shared"}, {"recovered", "withdrawn"}
SECTIONS = ("down", "recovered", "came_and_went", "withdrawn")
NAMED_SITES = 10
TOO_SHORT_YET = "least_duration"


@dataclass
class StormVerdict:
    problems: list[str] = field(default_factory=list)
    latencies: dict[str, list[OnsetLatency]] = field(default_factory=dict)  # by listener
    messages: dict[str, Counter[str]] = field(default_factory=dict)  # by listener and kind
    repeated: int = 0  # deliveries with a key that had been accepted before

    def lines(self) -> list[str]:
        return [f"{name:<14} {sum(kinds.values()):>4}  {dict(kinds)}" for name, kinds in self.messages.items()]

    def p95_s(self, *, busy: bool) -> float:
        return percentile_95([one.total_s for one in self.onsets if one.busy is busy])

    @property
    def onsets(self) -> list[OnsetLatency]:
        return [one for of in self.latencies.values() for one in of]


def pages(running: Demo, path: str, **params: Any) -> Iterator[dict[str, Any]]:
    cursor: dict[str, Any] = {}
    while True:
        page = running.get(path, limit=1000, **params, **cursor)
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}


def settled(running: Demo) -> bool:
    """Whether nothing waits to be told but what will prove too short, and every incident is over."""
    pending = [one for one in pages(running, "/announcements", state="pending") if one["hold_reason"] != TOO_SHORT_YET]
    queued = running.get("/notifications", state="queued", limit=1)["items"]
    return not (pending or queued or running.get("/incidents", status="open", limit=1)["items"])


class _Told:
    """What the service says about its incidents."""

    def __init__(self, running: Demo, plan: StormPlan) -> None:
        incidents = list(pages(running, "/incidents"))
        self.incidents = {one["id"]: one for one in incidents}
        by_site: dict[str, set[int]] = defaultdict(set)
        for one in incidents:
            for site in one["sites"]:
                by_site[site["code"]].add(one["id"])
        self.outage_of: dict[int, PlannedOutage] = {}
        for outage in plan.outages:
            for number in set().union(*(by_site[member.code] for member in outage.members)):
                self.outage_of[number] = outage
        for one in incidents:  # what a shared incident took over
            if one["id"] not in self.outage_of and one["merged_into"] in self.outage_of:
                self.outage_of[one["id"]] = self.outage_of[one["merged_into"]]


def check(
    running: Demo,
    plan: StormPlan,
    listeners: Sequence[Listener],
    made: SetUp,
    receivers: Receivers,
    *,
    killed_at: datetime | None = None,
) -> StormVerdict:
    """`killed_at`: from then on processes were, so that a message may have come again with the same key."""
    verdict, told = StormVerdict(), _Told(running, plan)
    happened = [set(line["sites"]) for line in running.truth() if line["kind"] == "outage" and line["ended_at"]]
    for outage in plan.outages:
        if sum(outage.members[0].code in sites for sites in happened) != 1:
            verdict.problems.append(f"the simulator did not play {outage}")
    if unknown := [one for one in told.incidents if one not in told.outage_of]:
        verdict.problems.append(f"incidents that nothing explains: {unknown}")
    for listener in listeners:
        channel = made.channels[listener.name]
        _Check(
            verdict,
            told,
            plan,
            listener,
            receivers.of(listener).accepted(listener.path),
            {one["id"]: one for one in pages(running, "/notifications", channel=channel)},
            list(pages(running, "/announcements", channel=channel, state="sent")),
            killed_at,
            made.silent_until.get(listener.name),
        ).run()
    return verdict


@dataclass
class _Check:
    """Of one listener."""

    verdict: StormVerdict
    told: _Told
    plan: StormPlan
    listener: Listener
    got: Sequence[ReceivedMessage]
    notifications: dict[int, dict[str, Any]]
    announcements: Sequence[dict[str, Any]]
    killed_at: datetime | None
    silent_until: datetime | None

    def run(self) -> None:
        self.verdict.messages[self.listener.name] = Counter(one["kind"] for one in self.notifications.values())
        self._check_keys()
        self._check_tellings()
        self._check_names()
        if self.silent_until is not None:
            self._check_silence(self.silent_until)
        else:
            self.verdict.latencies[self.listener.name] = list(
                onset_latencies(
                    self.announcements,
                    self.notifications,
                    self.told.incidents,
                    self.got,
                    least=timedelta(seconds=self.listener.least_s),
                )
            )

    def _problem(self, text: str) -> None:
        self.verdict.problems.append(f"{self.listener.name}: {text}")

    def _check_keys(self) -> None:
        """Every notification arrived, once, and nothing else did."""
        keys = {UUID(one["key"]) for one in self.notifications.values()}
        arrived = {one.key for one in self.got}
        if len(keys) != len(self.notifications):
            self._problem("two notifications have one key")
        if arrived != keys:
            self._problem(f"missing {keys - arrived}, unexpected {arrived - keys}")
        if others := {one["state"] for one in self.notifications.values()} - {"accepted"}:
            self._problem(f"notifications are {others}")
        seen: set[UUID | None] = set()
        for one in self.got:
            self.verdict.repeated += one.key in seen
            if one.key in seen and (self.killed_at is None or one.at < self.killed_at):
                self._problem(f"{one.key} came again")
            seen.add(one.key)

    def _check_tellings(self) -> None:
        """Onset and end of each outage that the channel has to hear were told once, and of no other."""
        onsets: Counter[int] = Counter()
        ends: Counter[int] = Counter()
        for one in self.announcements:
            outage = self.told.outage_of.get(one["incident_id"])
            if outage is None or one["notification_id"] not in self.notifications:
                self._problem(f"announcement {one['id']} of {one['subject']} is explained by nothing")
            elif one["kind"] in ONSETS | ENDS:
                (onsets if one["kind"] in ONSETS else ends)[id(outage)] += 1
        for outage in self.plan.outages:
            wanted, counted = int(self.listener.hears(outage)), (onsets[id(outage)], ends[id(outage)])
            if counted != (wanted, wanted):
                self._problem(f"told {counted} instead of {wanted} times: {outage}")

    def _check_names(self) -> None:
        """Only sites that the channel has to hear of are named; all of them, where no message had too many to name."""
        expected = self.listener.expected(self.plan)
        heard = {site for outage in expected for site in outage.affected if self.listener.tells_of(site)}
        if self.listener.by_mail:
            everyone = {site.name for outage in self.plan.outages for site in outage.affected}
            text = "\n".join(one.text for one in self.got)
            named = {name for name in everyone if re.search(rf"\b{re.escape(name)}\b", text)}
            # a name may be part of another place's
            self._compare({site.name for site in heard}, named & {site.name for site in heard}, complete=False)
            return
        sections = [content[name] for content in (one.json()["content"] for one in self.got) for name in SECTIONS]
        named = {site["code"] for section in sections for site in section["sites"]}
        complete = all(section["total"] <= NAMED_SITES for section in sections)
        self._compare({site.code for site in heard}, named, complete=complete)

    def _compare(self, wanted: set[str], named: set[str], *, complete: bool) -> None:
        if foreign := named - wanted:
            self._problem(f"names {sorted(foreign)}, which it must not hear of")
        if complete and (missing := wanted - named):
            self._problem(f"never names {sorted(missing)}")

    def _check_silence(self, until: datetime) -> None:
        if early := [one.at for one in self.got if one.at < until]:
            self._problem(f"told at {early} although silent until {until}")
        if self.verdict.messages[self.listener.name]["held"] != 1:
            self._problem("not one digest of what was held")
