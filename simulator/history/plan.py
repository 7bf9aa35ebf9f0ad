"""What a simulated past consists of: its sites, their events and limits, and each site's history as it is judged."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import WITA, from_slot, midnight, to_slot, utc_now
from app.judging import dated_profiles
from app.judging.blind_ranges import BlindRange, BlindRanges
from app.judging.dated_profiles import DatedThresholds
from app.judging.fold import JudgeConfiguration, JudgeContext, ParentOutage
from app.judging.judge import JudgeState
from app.judging.segments import Segment
from app.probing.probe_plan import ProbePlan
from app.profiles import Technology, profiles
from app.registry.models import State, UnknownReason
from probes.contract import CENTRAL, ProbeKind, Reading, Target
from simulator.history import store
from simulator.history.samples import HOUR_S, SiteSamples, draw_samples
from simulator.history.scenarios import Episodes, HistorySite
from simulator.history.site_history import SiteHistory, parent_outages
from simulator.script import LinkBehaviour

MAX_DAYS = 400
DAY = timedelta(days=1)

EpisodeDraw = Callable[[int, Sequence[HistorySite], int, int], Episodes]  # of seed, sites, start and end
BlindDraw = Callable[[int, int, int], Sequence[BlindRange]]  # of seed, start and end


class HistoryError(Exception):
    """The requested past cannot be written; the message says why."""


def read_days(text: str) -> int:
    """Parse `90d` or `13w`, up to 400 days. Raises HistoryError."""
    match = re.fullmatch(r"([1-9][0-9]{0,3})([dw])", text)
    days = int(match[1]) * (7 if match[2] == "w" else 1) if match else 0
    if not 1 <= days <= MAX_DAYS:
        raise HistoryError(f"--history {text}: write it like 90d or 13w, from 1d to {MAX_DAYS}d")
    return days


@dataclass
class HistoryPlan:
    """A past from `start` (a WITA midnight) to `end`, in slots, and the results of the sites simulated so far."""

    seed: int
    start: int
    end: int
    readings_from: int  # single readings are kept from this slot on
    sites: Sequence[HistorySite]
    episodes: Episodes
    blind_ranges: Sequence[BlindRange]
    thresholds: DatedThresholds
    interval_s: Mapping[Technology, int]
    scripted: Mapping[str, LinkBehaviour]
    samples: dict[int, SiteSamples] = field(default_factory=dict)
    schedules: dict[int, ProbePlan] = field(default_factory=dict)
    segments: dict[int, list[Segment]] = field(default_factory=dict)
    final_states: dict[int, tuple[JudgeState, Reading | None]] = field(default_factory=dict)
    sites_by_hour: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))  # with single readings
    outages: dict[int, list[ParentOutage]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for site in self.sites:
            technology = Technology(site.technology)
            profile, interval_s = profiles()[technology], self.interval_s[technology]
            target = Target(
                site.id, 0, ProbeKind.ICMP, site.host, timeout_s=profile.timeout_ms / 1000, valid_s=interval_s
            )
            schedule = self.schedules[site.id] = ProbePlan(target, interval_s, from_slot(self.start))
            self.samples[site.id] = draw_samples(
                self.seed,
                site.id,
                site.host,
                site.technology,
                self.thresholds.at(technology, from_slot(self.start)),
                interval_s=interval_s,
                phase=schedule.phase,
                scripted=self.scripted,
                source=site.source,
            )

    def simulate(self, site: HistorySite) -> SiteHistory:
        """Simulate and judge a site's whole past; its parent's must have been simulated before."""
        technology, start = Technology(site.technology), from_slot(self.start)
        blind_ranges = self.blind_ranges if site.source == CENTRAL else []  # an agent measures through ours
        context = JudgeContext(
            [JudgeConfiguration(start, start, technology, site.parent_id)],
            self.thresholds,
            {site.source: BlindRanges(blind_ranges)},
            {site.parent_id: self.outages.get(site.parent_id, [])} if site.parent_id is not None else {},
        )
        never_seen = JudgeState(State.UNKNOWN, UnknownReason.NEVER_SEEN, start, self.interval_s[technology], start)
        history = SiteHistory(
            self.schedules[site.id],
            self.samples[site.id],
            context,
            self.thresholds.at(technology, start),
            self.episodes.get(site.id, []),
            blind_ranges,
            never_seen,
            self.start,
            self.end,
            self.readings_from,
        )
        history.simulate()
        self._keep(site.id, history)
        return history

    def _keep(self, site_id: int, history: SiteHistory) -> None:
        self.segments[site_id] = history.segments
        self.final_states[site_id] = history.judge_state, history.last_reading
        self.outages[site_id] = parent_outages(self.segments[site_id])
        for hour in {reading.slot // HOUR_S for reading in history.readings}:
            self.sites_by_hour[hour].append(site_id)


async def plan_history(
    session: AsyncSession,
    *,
    days: int,
    seed: int,
    raw_hours: int,
    interval_s: int | None,
    scripted: Mapping[str, LinkBehaviour],
    draw: EpisodeDraw,
    draw_blind: BlindDraw,
) -> HistoryPlan:
    """Plan a past of so many days, up to now, for every active site. Raises HistoryError."""
    if await session.scalar(store.HOLDS_ANYTHING):
        raise HistoryError("this database holds measurements already; a history is only written to a new one")
    intervals = {name: interval_s or profile.interval_s for name, profile in profiles().items()}
    if any(HOUR_S % seconds for seconds in intervals.values()):
        raise HistoryError("a history needs intervals that divide an hour")
    sites, now = await store.list_sites(session), utc_now()
    start, end = to_slot(midnight(now.astimezone(WITA).date() - days * DAY)), to_slot(now)
    return HistoryPlan(
        seed,
        start,
        end,
        max(start, (end // HOUR_S - raw_hours) * HOUR_S),
        sites,
        draw(seed, sites, start + 2 * HOUR_S, end),
        draw_blind(seed, start + 2 * HOUR_S, end),
        await dated_profiles.load(session),
        intervals,
        scripted,
    )
