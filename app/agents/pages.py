"""Renders the pages of an enrolment: Indonesian first, without scripts, personal data or an exact position."""

import base64
import hashlib
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import segno
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.agents import enrolment, install_commands, rejection_words
from app.agents.enrolment import EnrolmentDetails
from app.agents.models import AgentKind, Device
from app.agents.recent_looks import RecentLooks
from app.agents.rejection_words import Both
from app.agents.scripts import TEMPLATES
from app.core.i18n import write_moment
from app.registry import regions, store

STYLE, SCRIPT = (re.compile(rf"<{tag}>(.*?)</{tag}>", re.DOTALL) for tag in ("style", "script"))
STATES = {
    "up": ("normal", "up"),
    "degraded": ("menurun", "degraded"),
    "down": ("putus", "down"),
    "unreachable": ("induk putus", "unreachable: its parent is down"),
    "unknown": ("tidak diketahui", "unknown"),
}
TWO_AGENTS: Both = (
    "Dua perangkat melapor dengan token yang sama: matikan salah satunya, atau minta kode baru",
    "Two devices report with the same token: switch one of them off, or ask for a new code",
)
TWO_NETWORKS: Both = (
    "Laporan datang bergantian dari dua jaringan: dua perangkat, atau perangkat dengan dua sambungan",
    "Reports alternate between two networks: two devices, or a device with two links",
)
NETWORK_CHANGED: Both = (
    "Laporan datang dari jaringan baru: pastikan perangkat memakai sambungan titik akses ini",
    "Reports come from a new network: make sure that the device uses this site's link",
)
GATEWAY: Both = ("Gerbang (router)", "gateway (router)")
TERMINAL: Both = ("Terminal (modem, antena)", "terminal (modem, dish)")
CARRIER: Both = ("Kabel atau sinyal antarmuka", "cable or signal of the interface")
ANSWERS: tuple[Both, Both] = (("tidak menjawab", "does not answer"), ("menjawab", "answers"))
PRESENT: tuple[Both, Both] = (("tidak ada", "none"), ("ada", "there"))
ALARMED_FOR = timedelta(days=7)
CLOCK_TOLERANCE_S = 5.0  # a larger offset is shown as a problem


def status(details: EnrolmentDetails, looks: RecentLooks, now: datetime) -> str:
    device, shown = details.device, store.current_state(details.site, details.status, now)
    offset_s = device.clock_offset_s if device is not None else None
    return _render(
        "status.html",
        details,
        stage=enrolment.install_stage(details, now).value,
        state=STATES[shown.state.value],
        device=device,
        heard=None if device is None else ago(now - device.heard_at),
        heard_at=None if device is None else write_moment(device.heard_at),
        offset_s=offset_s,
        clock_off=offset_s is not None and abs(offset_s) > CLOCK_TOLERANCE_S,
        rejection=_rejection(device),
        looks=looks,
        near=_near(device),
        alarms=[] if device is None else list(_alarms(device, now)),
        expires_at=write_moment(details.enrolment.expires_at, seconds=False),
        send_every_s=details.profile.send_every_s,
        checks=[
            (install_commands.NAMES[kind], command)
            for kind, command in install_commands.CHECK_COMMANDS.items()
            if _may_run(details, kind)
        ],
        now=write_moment(now),
        refresh_s=15,
    )


def card(details: EnrolmentDetails, url: str, code: str) -> str:
    kinds = [
        (
            install_commands.NAMES[kind],
            command,
            install_commands.CHECK_COMMANDS[kind],
            install_commands.REMOVE_COMMANDS[kind],
            _notes(kind, https=url.startswith("https://")),
        )
        for kind, command in install_commands.install_commands(url, code).items()
    ]
    status_url = install_commands.page_url(url, code)
    return _render(
        "card.html",
        details,
        code=f"{code[:4]}-{code[4:]}",
        kinds=kinds,
        status_url=f"{url}/enrol",
        withdrawn=details.enrolment.withdrawn_at is not None,
        used=details.enrolment.used_at is not None,
        expires_at=write_moment(details.enrolment.expires_at, seconds=False),
        qr=segno.make(status_url, error="m").svg_inline(border=0, omitsize=True),
    )


def _notes(kind: AgentKind, *, https: bool) -> list[tuple[str, str]]:
    """Return what is to be done on the device before, in Indonesian and in English."""
    certificates = install_commands.CERTIFICATE_NOTES if https else {}
    sources = (install_commands.OPEN_NOTES, install_commands.MODE_NOTES, certificates)
    return [notes[kind] for notes in sources if kind in notes]


def entry(page: str) -> str:
    """The page that asks for the code of a page."""
    return _environment().get_template("entry.html").render(page=page)


def command_page(kind: AgentKind, command: str) -> str:
    """The page for a browser that opens an installation link, which a device should run."""
    return _environment().get_template("command.html").render(name=install_commands.NAMES[kind], command=command)


def problem(indonesian: str, english: str) -> str:
    return _environment().get_template("problem.html").render(indonesian=indonesian, english=english)


def policy(page: str) -> str:
    """Return a content security policy that allows only the page's own style, script and form: no loading."""
    form = "'self'" if "<form" in page else "'none'"
    sources = f"style-src {_hashes(STYLE, page)}"
    if "<script>" in page:
        sources += f"; script-src {_hashes(SCRIPT, page)}"
    return f"default-src 'none'; {sources}; base-uri 'none'; form-action {form}; frame-ancestors 'none'"


def _hashes(inline: re.Pattern[str], page: str) -> str:
    digests = [hashlib.sha256(text.encode()).digest() for text in inline.findall(page)]
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def ago(elapsed: timedelta) -> tuple[str, str]:
    """Return the time in Indonesian and in English, in the largest unit of which there are two."""
    seconds = max(0, int(elapsed.total_seconds()))
    for unit_s, indonesian, english in ((86_400, "hari", "d"), (3_600, "jam", "h"), (60, "menit", "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds // unit_s} {indonesian} lalu", f"{seconds // unit_s} {english} ago"
    return f"{seconds} detik lalu", f"{seconds} s ago"


def _rejection(device: Device | None) -> tuple[Both, str] | None:
    """Return why a row was last rejected, and when."""
    if device is None or device.last_rejection is None or device.last_rejected_at is None:
        return None
    return rejection_words.in_words(device.last_rejection), write_moment(device.last_rejected_at)


def _alarms(device: Device, now: datetime) -> Iterator[tuple[Both, str]]:
    """Yield what the technician should set right before leaving, and when it was last seen."""
    for moment, words in (
        (device.two_agents_at, TWO_AGENTS),
        (device.two_networks_at, TWO_NETWORKS),
        (device.network_changed_at, NETWORK_CHANGED),
    ):
        if moment is not None and now - moment < ALARMED_FOR:
            yield words, write_moment(moment)


def _near(device: Device | None) -> list[tuple[Both, Both]]:
    """Return what the device last asked near itself, and what it found."""
    if device is None or device.near_at is None:
        return []
    asked = ((GATEWAY, device.lan, ANSWERS), (TERMINAL, device.terminal, ANSWERS), (CARRIER, device.carrier, PRESENT))
    return [(words, answers[found]) for words, found, answers in asked if found is not None]


def _may_run(details: EnrolmentDetails, kind: AgentKind) -> bool:
    return details.token is None or details.token.kind in {None, kind}


def _render(name: str, details: EnrolmentDetails, **values: Any) -> str:
    names, site = regions.names(), details.site
    return (
        _environment()
        .get_template(name)
        .render(
            site=site,
            village=names.get(site.village_code, site.village_code),
            district=names.get(site.village_code[:5]),
            subdistrict=names.get(site.village_code[:8]),
            provider=site.provider.name,
            **values,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["decimal"] = lambda number, places=1: f"{number:.{places}f}".replace(".", ",")
    return environment
