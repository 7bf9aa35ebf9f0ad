"""The phrases of messages, in one language, by the templates' parts: a site, a condition, a moment, a list of names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.alerts.content import ToldCondition, ToldSite
from app.alerts.message_values import LONGEST_BRIEF_NAME, LONGEST_NAME, fact, name, period, region_name, short_moment
from app.alerts.message_words import FACTS, SERVICES, SOURCES
from app.alerts.models import AnnouncementKind
from app.alerts.templates import Template, Words, fill
from app.pages import formats
from app.pages.words import word
from probes.contract import LOOKS

MAX_LISTED = 3  # providers and offices of a message that are named


@dataclass(frozen=True, slots=True)
class Phrases:
    language: str
    parts: Mapping[str, Template]
    is_brief: bool = False  # for an SMS

    def part(self, key: str, words: Words) -> str:
        return fill(self.parts[key], words)

    def condition(self, condition: ToldCondition) -> str:
        """Return its line."""
        words = self.facts(condition)
        words |= self.site(condition.site) if condition.site else {}
        words |= {"since": self.short(condition.since), "ended": self.short(condition.ended_at)}
        words["reason"] = self._reason(condition)
        line = self.part(_condition_part(condition), words)
        return self.part("condition_ended", words | {"condition": line}) if condition.ended_at else line

    def facts(self, condition: ToldCondition) -> dict[str, str]:
        return {key: fact(key, condition.facts[key], self.language) for key in FACTS if key in condition.facts}

    def _reason(self, condition: ToldCondition) -> str:
        reason = condition.facts.get("reason")
        return self.name(word("unknown_reason", reason, self.language)) if isinstance(reason, str) else ""

    def site(self, site: ToldSite, *, in_full: bool = False) -> dict[str, str]:
        """Return the words by which templates tell of it."""
        moment = self.moment if in_full else self.short
        words = {
            **{key: self.name(getattr(site, key)) for key in ("code", "village", "subdistrict", "provider")},
            "district": self.region(site.district),
            "site": self.name(f"{site.code} {site.name}"),
            "technology": word("technology", site.technology.value, self.language),
            "service_no": name(site.service_no),
            "started": moment(site.started_at),
            "last_answer": moment(site.last_ok_at) or self._never_answered(site),
            "ended": moment(site.ended_at),
            **self._ended(site),
            "evidence": self._evidence(site),
        }
        return words | {"place": self.part("place", words)}

    def _never_answered(self, site: ToldSite) -> str:
        return self.part("never_answered", {}) if site.started_at and not site.is_cut_off else ""

    def _ended(self, site: ToldSite) -> dict[str, str]:
        """Return when and for how long it was out; of one that still is, since when tells."""
        if site.started_at is None or site.ended_at is None:
            return {}
        seconds = max(0, (site.ended_at - site.started_at).total_seconds())
        return {
            "period": period(site.started_at, site.ended_at, self.language),
            "duration": formats.duration(seconds, self.language),
        }

    def _evidence(self, site: ToldSite) -> str:
        counts = {source: site.lost_readings.get(source, 0) for source in SOURCES}
        counts["central"] = sum(count for source, count in site.lost_readings.items() if source in LOOKS)
        return ", ".join(
            self.part(f"evidence_{source}", {"count": self.number(count)}) for source, count in counts.items() if count
        )

    def number(self, number: int) -> str:
        return formats.number(number, self.language)

    def moment(self, moment: datetime | None) -> str:
        if moment is None:
            return ""
        return self.short(moment) if self.is_brief else formats.moment(moment, self.language)

    def short(self, moment: datetime | None) -> str:
        return "" if moment is None else short_moment(moment, self.language)

    def name(self, typed: str | None) -> str:
        return name(typed, LONGEST_BRIEF_NAME if self.is_brief else LONGEST_NAME)

    def region(self, typed: str | None) -> str:
        return region_name(typed or "", brief=self.is_brief)

    def listed(self, names: Sequence[str], write: Callable[[str], str] | None = None) -> str:
        """Return the names, of many the first and how many more."""
        written = [(write or self.name)(each) for each in names[:MAX_LISTED]]
        more = [f"+{len(names) - MAX_LISTED}"] if len(names) > MAX_LISTED else []
        return ", ".join([*filter(None, written), *more])


def _condition_part(condition: ToldCondition) -> str:
    if condition.kind is not AnnouncementKind.SERVICE_UNWELL:
        return f"condition_{condition.kind.value}"
    what: Any = condition.facts.get("what", condition.subject.removeprefix("service:"))
    return f"service_{what if what in SERVICES else 'other'}"
