"""The pages of an enrolment as HTML: Indonesian first, no script, no personal data, no exact position."""

import base64
import hashlib
import re
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import segno
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.agents import enrolment, install_commands
from app.agents.enrolment import Known
from app.agents.models import AgentKind
from app.agents.scripts import TEMPLATES
from app.core.clock import WITA
from app.registry import regions, store

STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
MONTHS = (
    "Januari",
    "Februari",
    "Maret",
    "April",
    "Mei",
    "Juni",
    "Juli",
    "Agustus",
    "September",
    "Oktober",
    "November",
    "Desember",
)
STATES = {
    "up": ("normal", "up"),
    "degraded": ("menurun", "degraded"),
    "down": ("putus", "down"),
    "unreachable": ("induk putus", "unreachable: its parent is down"),
    "unknown": ("tidak diketahui", "unknown"),
}
REJECTED = {
    "no_clock": ("jam perangkat belum diatur (NTP)", "the device's clock is not set (NTP)"),
    "too_old": ("hasil ukur lebih tua dari 7 hari", "readings older than 7 days"),
    "in_future": ("jam perangkat terlalu maju", "the device's clock is ahead"),
    "before_site": ("diukur sebelum titik akses ini memakai agen", "measured before this site had an agent"),
    "not_active": ("titik akses ini tidak aktif di daftar", "this site is not active in the registry"),
}
CLOCK_OFF_S = 5.0  # by that much a clock may differ without a word


def status(known: Known, now: datetime) -> str:
    device, shown = known.device, store.shown_state(known.site, known.status, now)
    stage = enrolment.stage(known, now)
    offset_s = device.clock_offset_s if device is not None else None
    return _render(
        "status.html",
        known,
        stage=stage,
        state=STATES[shown.state.value],
        device=device,
        heard=None if device is None else ago(now - device.heard_at),
        heard_at=None if device is None else moment(device.heard_at),
        offset_s=offset_s,
        clock_off=offset_s is not None and abs(offset_s) > CLOCK_OFF_S,
        rejection=_rejection(device.last_rejection if device is not None else None),
        expires_at=moment(known.enrolment.expires_at, seconds=False),
        send_every_s=known.profile.send_every_s,
        checks=[
            (install_commands.NAMES[kind], line)
            for kind, line in install_commands.CHECKS.items()
            if _concerns(known, kind)
        ],
        now=moment(now),
        refresh_s=15,
    )


def card(known: Known, url: str, code: str) -> str:
    lines = install_commands.lines(url, code)
    kinds = [
        (
            install_commands.NAMES[kind],
            line,
            install_commands.CHECKS[kind],
            install_commands.REMOVALS[kind],
            install_commands.BEFORE.get(kind) if url.startswith("https://") else None,
        )
        for kind, line in lines.items()
    ]
    status_url = f"{url}/enrol/{code}/status"
    return _render(
        "card.html",
        known,
        code=f"{code[:4]}-{code[4:]}",
        kinds=kinds,
        status_url=status_url,
        withdrawn=known.enrolment.withdrawn_at is not None,
        used=known.enrolment.used_at is not None,
        expires_at=moment(known.enrolment.expires_at, seconds=False),
        qr=segno.make(status_url, error="m").svg_inline(border=0, omitsize=True),
    )


def look(kind: AgentKind, line: str) -> str:
    return _environment().get_template("look.html").render(name=install_commands.NAMES[kind], line=line)


def problem(indonesian: str, english: str) -> str:
    return _environment().get_template("problem.html").render(indonesian=indonesian, english=english)


def policy(page: str) -> str:
    """The one style within the page as it is; nothing else is loaded, and nothing runs."""
    digests = [hashlib.sha256(style.encode()).digest() for style in STYLE.findall(page)]
    styles = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return f"default-src 'none'; style-src {styles}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def moment(at: datetime, *, seconds: bool = True) -> str:
    local = at.astimezone(WITA)
    return f"{local.day} {MONTHS[local.month - 1]} {local.year} {local:{'%H.%M.%S' if seconds else '%H.%M'}} WITA"


def ago(gone: timedelta) -> tuple[str, str]:
    seconds = max(0, int(gone.total_seconds()))
    for unit_s, indonesian, english in ((86_400, "hari", "d"), (3_600, "jam", "h"), (60, "menit", "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds // unit_s} {indonesian} lalu", f"{seconds // unit_s} {english} ago"
    return f"{seconds} detik lalu", f"{seconds} s ago"


def _rejection(code: str | None) -> tuple[str, str] | None:
    return None if code is None else REJECTED.get(code, (code, code))


def _concerns(known: Known, kind: AgentKind) -> bool:
    return known.token is None or known.token.kind is None or known.token.kind is kind


def _render(name: str, known: Known, **values: Any) -> str:
    names, site = regions.names(), known.site
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
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["decimal"] = lambda number, places=1: f"{number:.{places}f}".replace(".", ",")
    return made
