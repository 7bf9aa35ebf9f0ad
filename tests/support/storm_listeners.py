"""Who listens in a storm: channels and rules as an office sets them over the API, and what each has to hear."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.demo_process import Demo
from tests.support.receivers import HttpReceiver, SmtpReceiver
from tests.support.storm_plan import PlannedOutage, StormPlan, StormSite

WITA = timedelta(hours=8)


@dataclass(frozen=True)
class Listener:
    """One channel with one rule. `silent_until_s`: seconds after the simulator's start, until then it is `muted` or has
    quiet hours, which end with a full minute.
    """

    name: str
    office: str = "64"
    kinds: tuple[str, ...] = ("down",)
    by_mail: bool = False
    provider: str | None = None  # of the channel
    technologies: tuple[str, ...] = ()
    least_s: int = 0
    silent_until_s: float | None = None
    muted: bool = False

    @property
    def path(self) -> str:
        return f"{self.name}@office.example" if self.by_mail else f"/{self.name}"

    def hears(self, outage: PlannedOutage) -> bool:
        """Whether what is planned has to be told through this channel."""
        shared = outage.shared or any(map(self.tells_of, outage.cut_off))
        wanted = "down" in self.kinds or (shared and "shared" in self.kinds)
        lasts = outage.duration_s >= self.least_s
        return wanted and lasts and not outage.maintained and any(map(self.covers, outage.affected))

    def covers(self, member: StormSite) -> bool:
        return self.tells_of(member) and (not self.technologies or member.technology in self.technologies)

    def tells_of(self, member: StormSite) -> bool:
        """Whether it is one of the office's, and of the provider's: of an outage that is told all of them are named."""
        return f"{member.village}.".startswith(f"{self.office}.") and self.provider in (None, member.provider)

    def expected(self, plan: StormPlan) -> list[PlannedOutage]:
        return [outage for outage in plan.outages if self.hears(outage)]


@dataclass
class Receivers:
    http: HttpReceiver
    smtp: SmtpReceiver

    def of(self, listener: Listener) -> HttpReceiver | SmtpReceiver:
        return self.smtp if listener.by_mail else self.http

    def url(self, listener: Listener) -> str:
        if listener.by_mail:
            return f"mailto://{self.smtp.address}/{listener.path}?from=sinyal@office.example"
        return f"{self.http.url}{listener.path}"


@dataclass
class SetUp:
    """Ids of what was created."""

    channels: dict[str, int] = field(default_factory=dict)  # by listener
    rules: dict[str, int] = field(default_factory=dict)
    silent_until: dict[str, datetime] = field(default_factory=dict)


def set_up(running: Demo, listeners: Sequence[Listener], receivers: Receivers, *, started_at: float) -> SetUp:
    """Create each listener's channel and rule over the API. `started_at`: the simulator."""
    made = SetUp()
    for listener in listeners:
        channel = {"name": listener.name, "office": listener.office, "url": receivers.url(listener)}
        channel |= {"provider": listener.provider} if listener.provider else {}
        made.channels[listener.name] = _post(running, "/channels", channel | {"default_rules": False})["id"]
        rule = {"name": listener.name, "office": listener.office, "kinds": listener.kinds, "least_s": listener.least_s}
        rule |= {"technologies": listener.technologies, "channels": [made.channels[listener.name]]}
        if listener.silent_until_s is not None:
            until = datetime.fromtimestamp(started_at + listener.silent_until_s, UTC).replace(microsecond=0)
            until = until if listener.muted else until.replace(second=0) + timedelta(minutes=1)
            made.silent_until[listener.name] = until
            rule |= _silence(until, muted=listener.muted)
        made.rules[listener.name] = _post(running, "/rules", rule)["id"]
    return made


def maintain(running: Demo, members: Iterable[StormSite], *, started_at: float, lasts: timedelta) -> None:
    """Announce maintenance of these sites since the simulator's start."""
    begins = datetime.fromtimestamp(started_at, UTC)
    for member in members:
        window = {"site": member.code, "started_at": begins.isoformat(), "ended_at": (begins + lasts).isoformat()}
        _post(running, "/maintenance", window | {"title": "Penggantian antena", "reason": "Direncanakan"})


def _post(running: Demo, path: str, body: Mapping[str, Any]) -> Any:
    answer = running.client.post(path, json=body)
    assert answer.is_success, f"{path} {body}: {answer.status_code} {answer.text}"
    return answer.json()


def _silence(until: datetime, *, muted: bool) -> dict[str, str]:
    if muted:
        return {"muted_until": until.isoformat()}
    begins = datetime.now(UTC) - timedelta(minutes=5)
    return {"quiet_from": _wall_clock(begins), "quiet_to": _wall_clock(until)}


def _wall_clock(moment: datetime) -> str:
    return (moment + WITA).strftime("%H:%M")
