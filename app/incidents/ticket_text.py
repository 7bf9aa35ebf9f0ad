"""What a ticket to a provider says of an incident, as plain text in both languages. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.core.words import LANGUAGES, Bilingual, duration_in_words, in_words, joined, moment_in_words
from app.registry.indonesian import CAUSES, TECHNOLOGIES
from probes.contract import LOOKS

Line = tuple[Bilingual, str | Bilingual | None]  # what it tells of, and that; None: unknown, and not written


@dataclass(frozen=True, slots=True)
class TicketSite:
    """One outage as `MemberOut` has it, with the provider's number of the service and the lost readings by source."""

    outage: Mapping[str, Any]
    service_no: str | None
    losses: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Ticket:
    """What one provider is told; `sites_omitted`: how many more of its sites the incident has."""

    incident: Mapping[str, Any]
    provider: str
    sites: Sequence[TicketSite]
    sites_omitted: int
    reporter: str | None
    contact: str | None  # how to reach the office that reports it


def ticket_text(ticket: Ticket) -> Bilingual:
    """Return the text: what it is about, then each site with the evidence, then who reports it."""
    blocks = [
        in_words("OUTAGE REPORT, VILLAGE INTERNET ACCESS POINT"),
        _block(_incident_lines(ticket)),
        *(_block(_site_lines(site)) for site in ticket.sites),
    ]
    if ticket.sites_omitted:
        blocks.append(in_words("and {n} more sites: see the attached file", n=ticket.sites_omitted))
    if ticket.reporter:
        blocks.append(_block([(in_words("Reported by"), ticket.reporter), (in_words("Contact"), ticket.contact)]))
    return joined(blocks, "\n\n")


def _incident_lines(ticket: Ticket) -> Iterator[Line]:
    incident = ticket.incident
    yield in_words("Provider"), ticket.provider
    yield in_words("Incident"), str(incident["id"])
    yield in_words("Ticket number"), incident["ticket_no"]
    yield in_words("Outages"), str(len(ticket.sites) + ticket.sites_omitted)
    if incident["cause"] is not None:
        yield in_words("Cause"), _word(CAUSES, incident["cause"])


def _site_lines(site: TicketSite) -> Iterator[Line]:
    outage = site.outage
    yield in_words("Service number (SID)"), site.service_no or in_words("not recorded")
    yield in_words("Site"), f"{outage['code']} {outage['name']}"
    yield in_words("Place"), _joined_names(outage[name] for name in ("village", "subdistrict", "district"))
    yield in_words("Technology"), _word(TECHNOLOGIES, outage["technology"])
    yield in_words("Contract"), outage["contract_number"]
    yield in_words("Last answer"), _moment(outage["last_ok_at"]) or in_words("none since it has been watched")
    yield in_words("First loss"), _moment(outage["started_at"])
    yield in_words("Confirmed"), _moment(outage["confirmed_at"])
    yield in_words("Answers again"), _moment(outage["ended_at"]) or in_words("not yet")
    yield in_words("Out for"), _duration(outage)
    yield in_words("Evidence"), _evidence(site)


def _duration(outage: Mapping[str, Any]) -> Bilingual | None:
    """Return the duration with its bounds; of one that lasts what is proven so far."""
    whole, least, most = (
        None if outage[name] is None else duration_in_words(outage[name])
        for name in ("duration_s", "duration_min_s", "duration_max_s")
    )
    if whole is None:
        return None if least is None else in_words("at least {least} so far", least=least)
    bounds = []
    if least is not None:
        bounds.append(in_words("at least {least}", least=least))
    if most is not None:
        bounds.append(in_words("at most {most}", most=most))
    return in_words("{whole} ({bounds})", whole=whole, bounds=joined(bounds, ", ")) if bounds else whole


def _evidence(site: TicketSite) -> Bilingual:
    looks = sum(count for source, count in site.losses.items() if source in LOOKS)
    told = {
        "central": in_words("{n} readings of our own without an answer", n=looks),
        "agent": in_words("{n} readings of the site's device without an answer", n=site.losses.get("agent")),
        "silence": in_words("{n} reports that were due and did not come", n=site.losses.get("silence")),
    }
    counted = [told[source] for source in told if source in site.losses or (source == "central" and looks)]
    return joined(counted, ", ") if counted else in_words("raw readings are no longer stored")


def _word(words: Mapping[str, str], value: str) -> Bilingual:
    return {"id": words[value], "en": value}


def _moment(moment: datetime | None) -> Bilingual | None:
    return None if moment is None else moment_in_words(moment)


def _joined_names(names: Iterable[str | None]) -> str:
    return ", ".join(name for name in names if name)


def _block(lines: Iterable[Line]) -> Bilingual:
    """Write the lines below each other, what they tell aligned; line breaks within a value become spaces."""
    known = [(label, value) for label, value in lines if value]
    return {language: _aligned(known, language) for language in LANGUAGES}


def _aligned(lines: Sequence[Line], language: str) -> str:
    width = max(len(label[language]) for label, _ in lines)
    return "\n".join(
        f"{label[language]:<{width}} : {' '.join(_in_language(value, language).split())}" for label, value in lines
    )


def _in_language(value: str | Bilingual | None, language: str) -> str:
    return value[language] if isinstance(value, dict) else value or ""
