"""What one notification's templates are filled in with, in one language: from its content, by the templates' parts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.alerts.content import NAMED_SITES, Content, Section, ToldSite
from app.alerts.message_phrases import Phrases
from app.alerts.message_values import (
    Links,
    fact,
)
from app.alerts.message_words import FIGURES, HOLDS, SECTIONS
from app.alerts.templates import Words
from app.incidents.models import IncidentStatus
from app.incidents.must_act import Actor, must_act
from app.pages.words import word

ACTOR_PARTS = {  # else as the actor is called
    Actor.VILLAGE: "site",
    Actor.PAYER: "bill",
    Actor.PLANNED: "provider",
    Actor.OFFICE: "unknown",
}
MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Blocks:
    content: Content
    say: Phrases
    links: Links
    named: int = NAMED_SITES  # sites of each section

    def naming(self, count: int) -> "Blocks":
        return replace(self, named=count)

    def brief(self) -> "Blocks":
        return replace(self, say=replace(self.say, is_brief=True))

    def words(self) -> dict[str, str]:
        """Return every word of the message that is known."""
        words = self._numbers() | self._figures() | self._common() | self._cause() | self._escalation()
        alone = self._only_site()
        if alone is not None:
            words |= self.say.site(alone)
            words["place"] = self.say.part("place", words)
        words["where"] = self._where(words)
        words["site_details"] = (
            self.say.part("site_details", self.say.site(alone, in_full=True) | self._cause()) if alone else ""
        )
        words |= self._conditions() | self._action(words)
        return words if alone and not self.content.withdrawn.total else words | self._lists()

    def _where(self, words: dict[str, str]) -> str:
        affected = self._affected()
        of_one = self.say.site(affected[0]) if len(affected) == 1 and self._has_all(affected) else {}
        return self.say.part("where", words | of_one) or words["office"]

    def _numbers(self) -> dict[str, str]:
        totals = {section: self._section(section).total for section in SECTIONS}
        totals |= {"incidents": self.content.incidents_total, "conditions_count": self.content.conditions_total}
        totals["count"] = self._affected_count()
        return {key: self.say.number(total) for key, total in totals.items()}

    def _figures(self) -> dict[str, str]:
        figures = self.content.figures
        words = {key: fact(key, figures[key], self.say.language) for key in FIGURES if key in figures}
        return words | {"most_outages": self._most_outages()}

    def _most_outages(self) -> str:
        """Return the providers with most of them, and how many: `Telkom WMS (2), Icon Plus (1)`."""
        counts = self.content.figures.get("providers") or ()
        return self.say.listed(
            [f"{self.say.name(each['name'])} ({self.say.number(each['outages'])})" for each in counts],
            str,
        )

    def _common(self) -> dict[str, str]:
        content, affected = self.content, self._affected()
        words = {
            "office": self.say.region(content.office.name) or content.office.code,
            "at": self.say.moment(content.at),
            "since": self.say.moment(min(self._starts(), default=content.at)),
            "shared_by": self.say.name(content.shared_by.name) if content.shared_by else "",
            "provider": self.say.listed(sorted({site.provider for site in affected}))
            if self._has_all(affected)
            else "",
            "held": self.say.part(f"held_{content.held if content.held in HOLDS else 'other'}", {})
            if content.held
            else "",
            "link": self.links.details or "",
            "acknowledge_link": self.links.acknowledge or "",
        }
        section = self._told_section()
        if section.node is not None:
            words |= {
                "node": self.say.name(section.node.name),
                "cut_off": self.say.number(section.cut_off),
            }
        districts = {site.district for site in affected}
        if len(districts) == 1 and self._has_all(affected):
            words["district"] = self.say.region(districts.pop())
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
        told = word("cause", cause.value, self.say.language) if cause else ""
        handlers_of_one = [incident.acknowledged_by] if incident.acknowledged_by else []
        is_open = incident.status in {IncidentStatus.OPEN, IncidentStatus.ACKNOWLEDGED}
        words = {"incident": str(incident.id), "ticket_no": self.say.name(incident.ticket_no), "cause": told}
        return words | self._handled(handlers_of_one if is_open else [])

    def _handled(self, handlers: Sequence[str]) -> dict[str, str]:
        handler = self.say.listed(handlers)
        return {
            "handler": handler,
            "handled_by": self.say.part("handled_by", {"handler": handler}) if handler else "",
        }

    def _escalation(self) -> dict[str, str]:
        content = self.content
        minutes = content.escalated_after_min
        words = {
            "minutes": "" if minutes is None else self.say.number(minutes),
            "escalated_from": self.say.listed([office.name for office in content.escalated_from], self.say.region),
        }
        if minutes is not None:
            words["escalated"] = self.say.part("escalated_after", words)
        elif content.escalated_from:
            words["escalated"] = self.say.part("escalated_beyond", words)
        return words

    def _action(self, words: Words) -> dict[str, str]:
        """Say who must act: by the cause that is known or likely, where something is still down."""
        if not self.content.down.total:
            return {"act": ""}
        known = {**words, "provider": self.say.listed(sorted({site.provider for site in self._affected()}))}
        if self.content.provider is not None:
            return {"act": self.say.part("act_told_provider", known)}
        actors = {must_act(incident.cause, incident.cause_hint) for incident in self.content.incidents}
        actor = actors.pop() if len(actors) == 1 else Actor.OFFICE
        return {"act": self.say.part(f"act_{ACTOR_PARTS.get(actor, actor)}", known)}

    def _lists(self) -> dict[str, str]:
        return {f"{section}_list": self._list(section) for section in SECTIONS}

    def _list(self, name_of: str) -> str:
        """Return a heading, a line a site and how many more there are; "" for none."""
        section = self._section(name_of)
        if not section.total:
            return ""
        sites = section.sites[: self.named]
        since = self.say.moment(min(self._starts(), default=self.content.at))
        heading = {"count": self.say.number(section.total), "since": since}
        heading["cut_off"] = self.say.number(section.cut_off) if section.cut_off else ""
        lines = [self.say.part(f"heading_{name_of}", heading)]
        lines += [f"- {self.say.part(f'site_{name_of}', self.say.site(site))}" for site in sites]
        return "\n".join([*lines, *self._more(section.total - len(sites))])

    def _more(self, count: int) -> Iterator[str]:
        if count > 0:
            yield self.say.part("more", {"count": self.say.number(count)})

    def _conditions(self) -> dict[str, str]:
        """Return each condition's line, and the first by itself."""
        shown = self.content.conditions[: max(1, self.named)]
        lines = [self.say.condition(condition) for condition in shown]
        more = list(self._more(self.content.conditions_total - len(shown)))
        if len(lines) == 1 and not more:
            return self.say.facts(shown[0]) | {"condition": lines[0], "conditions": lines[0]}
        return {
            "condition": lines[0] if lines else "",
            "conditions": "\n".join([*(f"- {line}" for line in lines), *more]),
        }

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
