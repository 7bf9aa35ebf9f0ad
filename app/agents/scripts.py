"""Renders the agent script of a site from its template. Pure."""

import re
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.agents.models import AgentKind
from app.profiles import Profile

VERSION = 2  # of the scripts, which they send as `agent`, for example "openwrt/2"
TEMPLATES = Path(__file__).parent / "templates"
FILES = {
    AgentKind.ROUTEROS: "routeros.rsc",
    AgentKind.OPENWRT: "openwrt.sh",
    AgentKind.LINUX: "linux.sh",
    AgentKind.WINDOWS: "windows.ps1",
}
PLACEHOLDER = "sd-TOKEN"  # instead of a token in a preview
KEEP_S = 7 * 86_400  # the server accepts nothing older
MAX_JITTER_S = 50
MIN_SCHEDULE_S = 60  # cron and the Windows scheduler run nothing more often


@dataclass(frozen=True, slots=True)
class ScriptSite:
    """What of a site may stand in a script on somebody else's router."""

    code: str
    village: str
    provider: str


def render(
    kind: AgentKind, site: ScriptSite, *, url: str, token: str, anchors: list[str], profile: Profile, now: datetime
) -> str:
    """Return the script; for the kind `own` the token alone, with a line break."""
    if kind is AgentKind.OWN:
        return f"{token}\n"
    beat_s = profile.beat_s
    keep_rows = max(100, KEEP_S // beat_s)
    return (
        _environment()
        .get_template(FILES[kind])
        .render(
            kind=kind.value,
            version=VERSION,
            url=url,
            token=token,
            anchors=anchors,
            terminal=profile.terminal,
            site=ScriptSite(site.code, _comment_text(site.village), _comment_text(site.provider)),
            beat_s=beat_s,
            send_every_s=profile.send_every_s,
            stream_beat_s=profile.stream_beat_s,
            ping_timeout_ms=profile.timeout_ms,
            ping_wait_s=-(-profile.timeout_ms // 1000),
            keep_rows=keep_rows,
            keep_rows_routeros=min(2880, keep_rows),  # two days of minutes: RouterOS copies arrays as a whole
            beat_s_windows=max(MIN_SCHEDULE_S, beat_s),
            jitter_s=jitter_s(site.code, beat_s),
            since=_start_of_day(now),
            speed_max_s=profile.speed_max_s,
            https=url.startswith("https://"),
            check_certificate="check-certificate=yes-without-crl " if url.startswith("https://") else "",
            anchors_routeros=";".join(f'"{anchor}"' for anchor in anchors),
            anchors_windows=", ".join(_quote_powershell(anchor) for anchor in anchors),
        )
    )


def jitter_s(code: str, beat_s: int) -> int:
    """Return the site's second of the minute, so that not all devices send in the same second."""
    return crc32(code.encode()) % max(1, min(MAX_JITTER_S, beat_s))


def _start_of_day(now: datetime) -> int:
    """Return midnight UTC in seconds since 1970: a device's clock before the script's own day was never set."""
    return int(now.astimezone(UTC).replace(hour=0, minute=0, second=0).timestamp())


@cache
def _environment() -> Environment:
    """Guillemets delimit, since every other bracket has a meaning in one of the script languages."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  # no HTML
        variable_start_string="«",
        variable_end_string="»",
        block_start_string="«%",
        block_end_string="%»",
        comment_start_string="«#",
        comment_end_string="#»",
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"sh": shlex.quote, "ps": _quote_powershell}
    return environment


def _quote_powershell(text: Any) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def _comment_text(text: str) -> str:
    """Replace all that could end a comment or mean something to a shell."""
    return re.sub(r"[^\w .,()/-]", " ", text)
