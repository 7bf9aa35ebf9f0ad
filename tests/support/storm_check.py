"""Hold what receivers got in a storm against its plan: everyone heard once what they had to, and nothing else.

What has to be told comes from the plan, and truth.jsonl says that it happened; what was told comes from the receivers.
Read over the API: which incident is about which site, and which notification tells of it.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from tests.support.demo_process import Demo
from tests.support.receivers import Received
from tests.support.storm_listeners import Listener, Receivers, SetUp
from tests.support.storm_plan import PlannedOutage, StormPlan

ONSETS, ENDS = {"down", "shared"}, {"recovered", "withdrawn"}
SECTIONS = ("down", "recovered", "came_and_went", "withdrawn")
NAMED_SITES = 10


@dataclass
class Verdict:
    problems: list[str] = field(default_factory=list)
    latencies_s: dict[str, list[float]] = field(default_factory=dict)  # confirmation to acceptance, by listener
    messages: dict[str, Counter[str]] = field(default_factory=dict)  # by listener and kind
    repeated: int = 0  # deliveries with a key that had been accepted before

    def lines(self) -> list[str]:
        return [f"{name:<14} {sum(kinds.values()):>4}  {dict(kinds)}" for name, kinds in self.messages.items()]

    @property
    def p95_s(self) -> float:
        """Of the onsets."""
        every = sorted(one for of in self.latencies_s.values() for one in of)
        return every[int(0.95 * (len(every) - 1))] if every else 0.0


def pages(running: Demo, path: str, **params: Any) -> Iterator[dict[str, Any]]:
    cursor: dict[str, Any] = {}
    while True:
        page = running.get(path, limit=1000, **params, **cursor)
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}


def settled(running: Demo) -> bool:
    """Whether nothing waits to be told, and every incident is over."""
    waiting = (
        running.get("/announcements", state="pending", limit=1),
        running.get("/notifications", state="queued", limit=1),
        running.get("/incidents", status="open", limit=1),
    )
    return not any(page["items"] for page in waiting)


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
    running: Demo, plan: StormPlan, listeners: Sequence[Listener], made: SetUp, receivers: Receivers, *, killed: bool
) -> Verdict:
    """`killed`: processes were, so that a message may have come again with the same key."""
    verdict, told = Verdict(), _Told(running, plan)
    happened = [set(line["sites"]) for line in running.truth() if line["kind"] == "outage" and line["ended_at"]]
    for outage in plan.outages:
        if sum(outage.members[0].code in sites for sites in happened) != 1:
            verdict.problems.append(f"the simulator did not play {outage}")
    unknown = [one for one in told.incidents if one not in told.outage_of]
    if unknown:
        verdict.problems.append(f"incidents that nothing explains: {unknown}")
    for listener in listeners:
        _check_listener(verdict, running, plan, told, listener, made.channels[listener.name], receivers, killed)
    return verdict


def _check_listener(
    verdict: Verdict,
    running: Demo,
    plan: StormPlan,
    told: _Told,
    listener: Listener,
    channel: int,
    receivers: Receivers,
    killed: bool,
) -> None:
    def problem(text: str) -> None:
        verdict.problems.append(f"{listener.name}: {text}")

    got = receivers.of(listener).accepted(listener.path)
    notifications = {one["id"]: one for one in pages(running, "/notifications", channel=channel)}
    verdict.messages[listener.name] = Counter(one["kind"] for one in notifications.values())
    _check_keys(verdict, problem, got, notifications, killed)
    _check_tellings(problem, running, plan, told, listener, channel, notifications)
    _check_names(problem, plan, listener, got)
    if listener.quiet_until is not None:
        if early := [one.at for one in got if one.at < listener.quiet_until]:
            problem(f"told at {early} within quiet hours until {listener.quiet_until}")
        if verdict.messages[listener.name]["held"] != 1:
            problem(f"no single digest of what was held: {verdict.messages[listener.name]}")
    else:
        verdict.latencies_s[listener.name] = list(_latencies(told, got, notifications))


def _check_keys(verdict: Verdict, problem: Any, got: Sequence[Received], notifications: Any, killed: bool) -> None:
    """Every notification arrived, once, and nothing else did."""
    counts = Counter(one.key for one in got)
    keys = {UUID(one["key"]) for one in notifications.values()}
    if len(keys) != len(notifications):
        problem("two notifications have one key")
    if counts.keys() != keys:
        problem(f"missing {keys - counts.keys()}, unexpected {counts.keys() - keys}")
    repeated = sum(counts.values()) - len(counts)
    verdict.repeated += repeated
    if repeated and not killed:
        problem(f"{repeated} messages came again")
    if not_accepted := [one["id"] for one in notifications.values() if one["state"] != "accepted"]:
        problem(f"not accepted: {not_accepted}")


def _check_tellings(
    problem: Any, running: Demo, plan: StormPlan, told: _Told, listener: Listener, channel: int, notifications: Any
) -> None:
    """Onset and end of each outage that the channel has to hear were told once, and of no other."""
    onsets: dict[int, int] = Counter()
    ends: dict[int, int] = Counter()
    for one in pages(running, "/announcements", channel=channel, state="sent"):
        outage = told.outage_of.get(one["incident_id"])
        if outage is None or one["notification_id"] not in notifications:
            problem(f"announcement {one['id']} of {one['subject']} is explained by nothing")
            continue
        counter = onsets if one["kind"] in ONSETS else ends
        counter[id(outage)] += 1
    for outage in plan.outages:
        wanted, counted = int(listener.hears(outage)), (onsets[id(outage)], ends[id(outage)])
        if counted != (wanted, wanted):
            problem(f"told {counted} instead of {wanted} times: {outage.members[0].code} +{len(outage.members) - 1}")


def _check_names(problem: Any, plan: StormPlan, listener: Listener, got: Sequence[Received]) -> None:
    """The messages name only sites that the channel has to hear of; all of them, where none had too many to name."""
    heard = {member for outage in listener.expected(plan) for member in outage.members if listener.covers(member)}
    if listener.by_mail:
        text = "\n".join(one.text for one in got)
        names = {name for name in {member.name for member in heard} if name in text}
        others = {member.name for outage in plan.outages for member in outage.members} - {one.name for one in heard}
        if foreign := {name for name in others if re.search(rf"\b{re.escape(name)}\b", text)}:
            problem(f"names {sorted(foreign)}, which it must not hear of")
        complete = max(map(_most_counted_in_text, got), default=0) <= NAMED_SITES
        missing = {member.name for member in heard} - names
    else:
        contents = [one.json() for one in got]
        sections = [content[name] for content in contents for name in SECTIONS]
        codes = {site["code"] for section in sections for site in section["sites"]}
        if foreign := codes - {member.code for member in heard}:
            problem(f"names {sorted(foreign)}, which it must not hear of")
        complete = all(section["total"] <= NAMED_SITES for section in sections)
        missing = {member.code for member in heard} - codes
    if complete and missing:
        problem(f"never names {sorted(missing)}")


def _most_counted_in_text(message: Received) -> int:
    return max(map(int, re.findall(r"\d+", message.headers.get("subject", ""))), default=1)


def _latencies(told: _Told, got: Sequence[Received], notifications: Any) -> Iterator[float]:
    """Yield the seconds from each outage's confirmation to the acceptance of the onset that told it."""
    first: dict[UUID | None, datetime] = {}
    for one in got:
        first.setdefault(one.key, one.at)
    for notification in notifications.values():
        if notification["kind"] != "onset" or UUID(notification["key"]) not in first:
            continue
        for number in notification["incident_ids"]:
            if confirmed := told.incidents[number]["confirmed_at"]:
                yield (first[UUID(notification["key"])] - datetime.fromisoformat(confirmed)).total_seconds()
