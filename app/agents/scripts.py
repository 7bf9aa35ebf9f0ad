"""The scripts that run at the sites: out of their templates, for one site. Pure."""

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

VERSION = 1  # of the scripts: what they say of themselves when they push, as "openwrt/1"
TEMPLATES = Path(__file__).parent / "templates"
FILES = {
    AgentKind.ROUTEROS: "routeros.rsc",
    AgentKind.OPENWRT: "openwrt.sh",
    AgentKind.LINUX: "linux.sh",
    AgentKind.WINDOWS: "windows.ps1",
}
PLACEHOLDER = "sd-TOKEN"  # where a script is shown and no token was minted
KEPT_S = 7 * 86_400  # what is older, the server takes no more
LARGEST_JITTER_S = 50
RUNS_EACH_S = 60  # cron and Windows run nothing more often


@dataclass(frozen=True, slots=True)
class Place:
    """The site, as it may be named in a script that lies on somebody else's router."""

    code: str
    village: str
    provider: str


def render(
    kind: AgentKind, place: Place, *, url: str, token: str, anchors: list[str], profile: Profile, now: datetime
) -> str:
    if kind is AgentKind.OWN:
        return f"{token}\n"
    beat_s = profile.beat_s
    keep_rows = max(100, KEPT_S // beat_s)
    return (
        _environment()
        .get_template(FILES[kind])
        .render(
            kind=kind.value,
            version=VERSION,
            url=url,
            token=token,
            anchors=anchors,
            site=Place(place.code, _plain(place.village), _plain(place.provider)),
            beat_s=beat_s,
            send_every_s=profile.send_every_s,
            ping_timeout_ms=profile.timeout_ms,
            ping_wait_s=-(-profile.timeout_ms // 1000),
            keep_rows=keep_rows,
            keep_rows_routeros=min(2880, keep_rows),  # its arrays are copied whole: two days of minutes
            beat_s_windows=max(RUNS_EACH_S, beat_s),
            jitter_s=jitter_s(place.code, beat_s),
            since=_midnight(now),
            https=url.startswith("https://"),
            check_certificate="check-certificate=yes-without-crl " if url.startswith("https://") else "",
            anchors_routeros=";".join(f'"{anchor}"' for anchor in anchors),
            anchors_windows=", ".join(_ps(anchor) for anchor in anchors),
        )
    )


def jitter_s(code: str, beat_s: int) -> int:
    """The site's own second of the minute, so that a thousand routers do not all send in the same one."""
    return crc32(code.encode()) % max(1, min(LARGEST_JITTER_S, beat_s))


def _midnight(now: datetime) -> int:
    """A clock that stands before the day on which the script was made was never set."""
    return int(now.astimezone(UTC).replace(hour=0, minute=0, second=0).timestamp())


@cache
def _environment() -> Environment:
    """Guillemets: every other bracket means something in one of these languages."""
    made = Environment(
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
    made.filters |= {"sh": shlex.quote, "ps": _ps}
    return made


def _ps(text: Any) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def _plain(text: str) -> str:
    """For a comment: nothing that ends it, or that any shell would read otherwise."""
    return re.sub(r"[^\w .,()/-]", " ", text)
