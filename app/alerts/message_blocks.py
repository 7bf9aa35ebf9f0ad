"""What one notification's templates are filled in with, in one language: from its content, by the templates' parts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from app.alerts.content import NAMED_SITES, Content, Section, ToldCondition, ToldSite
from app.alerts.message_values import (
    LONGEST_BRIEF_NAME,
    LONGEST_NAME,
    Links,
    fact,
    name,
    period,
    region_name,
    short_moment,
)
from app.alerts.message_words import FACTS, FIGURES, HOLDS, SECTIONS, SERVICES, SOURCES
from app.alerts.models import AnnouncementKind
from app.alerts.templates import Template, Words, fill
from app.incidents.models import IncidentStatus
from app.incidents.must_act import Actor, must_act
from app.pages import formats
from app.pages.words import word

ACTOR_PARTS = {  # else as the actor is called
    Actor.VILLAGE: "site",
    Actor.PAYER: "bill",
    Actor.PLANNED: "provider",
    Actor.OFFICE: "unknown",
}
MAX_LISTED = 3  # providers and offices of a message that are named
MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Blocks:
    content: Content
    language: str
    parts: Mapping[str, Template]
    links: Links
    named: int = NAMED_SITES  # sites of each section
    is_brief: bool = False  # for an SMS

    def naming(self, count: int) -> "Blocks":
        return replace(self, named=count)

    def brief(self) -> "Blocks":
        return replace(self, is_brief=True)

    def part(self, key: str, words: Words) -> str:
        return fill(self.parts[key], words)

    def words(self) -> dict[str, str]:
        """Return every word of the message that is known."""
        words = self._numbers() | self._figures() | self._common() | self._cause() | self._escalation()
        alone = self._only_site()
        if alone is not None:
            words |= self._of_site(alone)
            words["place"] = self.part("place", words)
        words["where"] = self._where(words)
        words["site_details"] = (
            self.part("site_details", self._of_site(alone, in_full=True) | self._cause()) if alone else ""
        )
        words |= self._conditions() | self._action(words)
        return words if alone and not self.content.withdrawn.total else words | self._lists()

    def _where(self, words: dict[str, str]) -> str:
        affected = self._affected()
        of_one = self._of_site(affected[0]) if len(affected) == 1 and self._has_all(affected) else {}
        return self.part("where", words | of_one) or words["office"]

    def _numbers(self) -> dict[str, str]:
        totals = {section: self._section(section).total for section in SECTIONS}
        totals |= {"incidents": self.content.incidents_total, "conditions_count": self.content.conditions_total}
        totals["count"] = self._affected_count()
        return {key: formats.number(total, self.language) for key, total in totals.items()}

    def _figures(self) -> dict[str, str]:
        figures = self.content.figures
        words = {key: fact(key, figures[key], self.language) for key in FIGURES if key in figures}
        return words | {"most_outages": self._most_outages()}

    def _most_outages(self) -> str:
        """Return the providers with most of them, and how many: `Telkom WMS (2), Icon Plus (1)`."""
        counts = self.content.figures.get("providers") or ()
        return self._listed(
            [f"{self._name(each['name'])} ({formats.number(each['outages'], self.language)})" for each in counts], str
        )

    def _common(self) -> dict[str, str]:
        content, affected = self.content, self._affected()
        words = {
            "office": region_name(content.office.name, brief=self.is_brief) or content.office.code,
            "at": self._moment(content.at),
            "since": self._moment(min(self._starts(), default=content.at)),
            "shared_by": self._name(content.shared_by.name) if content.shared_by else "",
            "provider": self._listed(sorted({site.provider for site in affected})) if self._has_all(affected) else "",
            "held": self.part(f"held_{content.held if content.held in HOLDS else 'other'}", {}) if content.held else "",
            "link": self.links.details or "",
            "acknowledge_link": self.links.acknowledge or "",
        }
        section = self._told_section()
        if section.node is not None:
            words |= {"node": self._name(section.node.name), "cut_off": formats.number(section.cut_off, self.language)}
        districts = {site.district for site in affected}
        if len(districts) == 1 and self._has_all(affected):
            words["district"] = region_name(districts.pop(), brief=self.is_brief)
        return words

    def _cause(self) -> dict[str, str]:
        """Return what the incidents have in common, as they are all here: cause, ticket and who deals with them."""
        incidents = self.content.incidents
        if len(incidents) != 1 or self.content.incidents_total != 1:
            handlers = {incident.acknowledged_by or "" for incident in incidents}
            in_hand = len(incidents) == self.content.incidents_total and "" not in handlers
            return self._handled(sorted(handlers) if in_hand else [])
        incident = incidents[0]
        cause = incident.cause or incident.cause_hint
        told = word("cause", cause.value, self.language) if cause else ""
        handlers_of_one = [incident.acknowledged_by] if incident.acknowledged_by else []
        is_open = incident.status in {IncidentStatus.OPEN, IncidentStatus.ACKNOWLEDGED}
        words = {"incident": str(incident.id), "ticket_no": self._name(incident.ticket_no), "cause": told}
        return words | self._handled(handlers_of_one if is_open else [])

    def _handled(self, handlers: Sequence[str]) -> dict[str, str]:
        handler = self._listed(handlers)
        return {"handler": handler, "handled_by": self.part("handled_by", {"handler": handler}) if handler else ""}

    def _escalation(self) -> dict[str, str]:
        content = self.content
        minutes = content.escalated_after_min
        words = {
            "minutes": "" if minutes is None else formats.number(minutes, self.language),
            "escalated_from": self._listed([office.name for office in content.escalated_from], self._region),
        }
        if minutes is not None:
            words["escalated"] = self.part("escalated_after", words)
        elif content.escalated_from:
            words["escalated"] = self.part("escalated_beyond", words)
        return words

    def _action(self, words: Words) -> dict[str, str]:
        """Say who must act: by the cause that is known or likely, where something is still down."""
        if not self.content.down.total:
            return {"act": ""}
        known = {**words, "provider": self._listed(sorted({site.provider for site in self._affected()}))}
        if self.content.provider is not None:
            return {"act": self.part("act_told_provider", known)}
        actors = {must_act(incident.cause, incident.cause_hint) for incident in self.content.incidents}
        actor = actors.pop() if len(actors) == 1 else Actor.OFFICE
        return {"act": self.part(f"act_{ACTOR_PARTS.get(actor, actor)}", known)}

    def _lists(self) -> dict[str, str]:
        return {f"{section}_list": self._list(section) for section in SECTIONS}

    def _list(self, name_of: str) -> str:
        """Return a heading, a line a site and how many more there are; "" for none."""
        section = self._section(name_of)
        if not section.total:
            return ""
        sites = section.sites[: self.named]
        since = self._moment(min(self._starts(), default=self.content.at))
        heading = {"count": formats.number(section.total, self.language), "since": since}
        heading["cut_off"] = formats.number(section.cut_off, self.language) if section.cut_off else ""
        lines = [self.part(f"heading_{name_of}", heading)]
        lines += [f"- {self.part(f'site_{name_of}', self._of_site(site))}" for site in sites]
        return "\n".join([*lines, *self._more(section.total - len(sites))])

    def _more(self, count: int) -> Iterator[str]:
        if count > 0:
            yield self.part("more", {"count": formats.number(count, self.language)})

    def _conditions(self) -> dict[str, str]:
        """Return each condition's line, and the first by itself."""
        shown = self.content.conditions[: max(1, self.named)]
        lines = [self._condition(condition) for condition in shown]
        more = list(self._more(self.content.conditions_total - len(shown)))
        if len(lines) == 1 and not more:
            return self._facts(shown[0]) | {"condition": lines[0], "conditions": lines[0]}
        return {
            "condition": lines[0] if lines else "",
            "conditions": "\n".join([*(f"- {line}" for line in lines), *more]),
        }

    def _condition(self, condition: ToldCondition) -> str:
        words = self._facts(condition)
        words |= self._of_site(condition.site) if condition.site else {}
        words |= {"since": self._short(condition.since), "ended": self._short(condition.ended_at)}
        words["reason"] = self._reason(condition)
        line = self.part(_condition_part(condition), words)
        return self.part("condition_ended", words | {"condition": line}) if condition.ended_at else line

    def _facts(self, condition: ToldCondition) -> dict[str, str]:
        return {key: fact(key, condition.facts[key], self.language) for key in FACTS if key in condition.facts}

    def _reason(self, condition: ToldCondition) -> str:
        reason = condition.facts.get("reason")
        return self._name(word("unknown_reason", reason, self.language)) if isinstance(reason, str) else ""

    def _of_site(self, site: ToldSite, *, in_full: bool = False) -> dict[str, str]:
        moment = self._moment if in_full else self._short
        words = {
            **{key: self._name(getattr(site, key)) for key in ("code", "village", "subdistrict", "provider")},
            "district": self._region(site.district),
            "site": self._name(f"{site.code} {site.name}"),
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
        return ", ".join(
            self.part(f"evidence_{source}", {"count": formats.number(count, self.language)})
            for source, count in counts.items()
            if count
        )

    def _section(self, name_of: str) -> Section:
        section: Section = getattr(self.content, name_of)
        return section

    def _affected_count(self) -> int:
        """Return how many sites the title speaks of: those still down, else those of the first section with any."""
        return self._told_section().total or self.content.conditions_total

    def _told_section(self) -> Section:
        """Return the first with any sites."""
        return next((section for name_of in SECTIONS if (section := self._section(name_of)).total), Section())

    def _affected(self) -> list[ToldSite]:
        sections = (self._section(section).sites for section in SECTIONS)
        of_conditions = [condition.site for condition in self.content.conditions if condition.site]
        return next((sites for sites in sections if sites), of_conditions)

    def _has_all(self, affected: Sequence[ToldSite]) -> bool:
        return len(affected) == self._affected_count()

    def _only_site(self) -> ToldSite | None:
        """Return the site of a message about one alone."""
        totals = [self._section(section).total for section in SECTIONS]
        affected = self._affected()
        return affected[0] if len(affected) == 1 and sum(totals) in {0, 1} and self._has_all(affected) else None

    def _starts(self) -> Iterator[datetime]:
        yield from (site.started_at for site in self._affected() if site.started_at)
        yield from (condition.since for condition in self.content.conditions)

    def _moment(self, moment: datetime | None) -> str:
        if moment is None:
            return ""
        return self._short(moment) if self.is_brief else formats.moment(moment, self.language)

    def _short(self, moment: datetime | None) -> str:
        return "" if moment is None else short_moment(moment, self.language)

    def _name(self, typed: str | None) -> str:
        return name(typed, LONGEST_BRIEF_NAME if self.is_brief else LONGEST_NAME)

    def _region(self, typed: str | None) -> str:
        return region_name(typed or "", brief=self.is_brief)

    def _listed(self, names: Sequence[str], write: Callable[[str], str] | None = None) -> str:
        """Return the names, of many the first and how many more."""
        written = [(write or self._name)(each) for each in names[:MAX_LISTED]]
        more = [f"+{len(names) - MAX_LISTED}"] if len(names) > MAX_LISTED else []
        return ", ".join([*filter(None, written), *more])


def _condition_part(condition: ToldCondition) -> str:
    if condition.kind is not AnnouncementKind.SERVICE_UNWELL:
        return f"condition_{condition.kind.value}"
    what: Any = condition.facts.get("what", condition.subject.removeprefix("service:"))
    return f"service_{what if what in SERVICES else 'other'}"
