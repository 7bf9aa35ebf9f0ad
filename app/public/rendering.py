"""Renders pages from a snapshot: the same for the service and for plain files."""

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from app.access.scope import PROVINCE
from app.certificates.verification import VerifiedCertificate
from app.charts.day_strip import day_strip
from app.charts.days import Day
from app.compliance.method import METHODS
from app.pages.environment import render
from app.public import views
from app.public.addresses import ENGLISH, MEASURE, VERIFY, Address, PageKind, path_of
from app.public.editions.datasets import DATASETS
from app.public.publication import Publication
from app.public.service_seconds import NORMAL_PCT, ServiceSeconds
from app.public.snapshot import ANSWERED_DAYS, PublicSnapshot
from app.registry import regions
from app.reports.verification import Verification
from app.reviews.satisfaction import LEAST_ANSWERS, Satisfaction
from app.reviews.survey import MOST_ANSWERS
from app.visitors.village_figures import DAYS as VISITED_DAYS
from app.visitors.village_figures import LEAST_VISITORS, VillageVisitors

TEMPLATES = Path(__file__).parent / "templates"
POLLED = {PageKind.HOME, PageKind.DISTRICT, PageKind.VILLAGE}  # their readers' browsers ask for them again
SEARCH = "/cari"
OTHERS = {"verify": VERIFY, "measure": MEASURE}  # pages that are not among the addresses


class PageRenderer:
    """`base`: the path under which a proxy serves the service; `copies`: pages are shown while it cannot be reached."""

    def __init__(self, publication: Publication, base: str, *, copies: bool = False) -> None:
        self._publication, self._base, self._copies = publication, base, copies

    def page(self, address: Address, snapshot: PublicSnapshot) -> str:
        """Return the HTML of a published page."""
        values: dict[str, Any] = {}
        if address.kind is PageKind.HOME:
            values = {"region": views.region_view(snapshot, PROVINCE), "districts": views.district_views(snapshot)}
        elif address.kind is PageKind.DISTRICT:
            shown = self._publication.shows_villages
            values = {
                "region": views.region_view(snapshot, address.code),
                "subdistricts": views.villages_by_subdistrict(snapshot, address.code) if shown else [],
            }
        elif address.kind is PageKind.VILLAGE:
            values = {
                "view": views.village_view(snapshot, address.code),
                "district": regions.names()[address.code[:5]],
                "contact": self._publication.contact_of(address.code),
                "answers": snapshot.satisfaction.get(address.code, Satisfaction()),
                "answered_days": ANSWERED_DAYS,
                "visitors": snapshot.visitors.get(address.code, VillageVisitors()),
                "visited_days": VISITED_DAYS,
                "least_visitors": LEAST_VISITORS,
            }
        elif address.kind in {PageKind.EDITIONS, PageKind.EDITION}:
            values = {"months": snapshot.editions, "datasets": DATASETS}
            if address.kind is PageKind.EDITION:
                of_month = next(found for found in snapshot.editions.values() if found[0].period == address.code)
                values |= {"editions": of_month, "latest": of_month[0]}
        if address.kind in POLLED:
            values |= {"at": snapshot.at, "late_since": snapshot.late_since, "polled": True}
        if self._copies:
            values["copied_at"] = snapshot.at
        other = "id" if address.language == "en" else "en"
        return self._render(
            f"{address.kind}.html",
            address.language,
            simulated_until=snapshot.simulated_until,
            other_path=address.in_language(other).path,
            **values,
        )

    def search(self, snapshot: PublicSnapshot, language: str, q: str, district: str) -> str:
        found, query = views.find_villages(snapshot, q, district), urlencode({"q": q, "kabupaten": district})
        return self._render(
            "search.html",
            language,
            simulated_until=snapshot.simulated_until,
            other_path=f"{search_path('id' if language == 'en' else 'en')}?{query}",
            q=q,
            kabupaten=district,
            found=found[: views.MAX_FOUND],
            more=len(found) > views.MAX_FOUND,
            districts={code: regions.names()[code] for code in regions.children(PROVINCE)},
        )

    def survey(self, code: str, outcome: str, language: str, given: Mapping[str, str]) -> str:
        """Return the page that says what became of an answer; `given`: what was chosen of an incomplete one."""
        values = {"code": code, "village": regions.names()[code], "outcome": outcome, "given": given}
        return self._render("survey.html", language, **values)

    def verification(self, paper: Verification | VerifiedCertificate | None, code: str, language: str) -> str:
        """Return what a paper's code verifies, or that it is of none."""
        if paper is None:
            return self._render("unverified.html", language)
        other = "" if language == "en" else ENGLISH
        name = "certificate" if isinstance(paper, VerifiedCertificate) else "verification"
        return self._render(f"{name}.html", language, paper=paper, other_path=f"{other}{VERIFY}/{code}")

    def verify(self, language: str, typed: str, *, wrong: bool) -> str:
        """Return the page that asks for a paper's code; `typed`: what was given and is none."""
        other = "" if language == "en" else ENGLISH
        return self._render("verify.html", language, typed=typed, wrong=wrong, other_path=f"{other}{VERIFY}")

    def measure(self, language: str) -> str:
        """Return the page that measures from the reader's own device."""
        other = "" if language == "en" else ENGLISH
        return self._render("measure.html", language, other_path=f"{other}{MEASURE}")

    def missing(self, language: str) -> str:
        return self._render("missing.html", language)

    def unavailable(self, language: str) -> str:
        return self._render("unavailable.html", language)

    def _render(self, name: str, language: str, **values: Any) -> str:
        def link(kind: str, code: str = "") -> str:
            if kind == "search":
                return self._base + search_path(language)
            if kind in OTHERS:
                return self._base + (ENGLISH if language == "en" else "") + OTHERS[kind]
            return self._base + path_of(PageKind(kind), code, language)

        optional = ("simulated_until", "late_since", "copied_at", "at", "polled", "other_path")
        return render(
            TEMPLATES,
            name,
            language,
            base=self._base,
            publication=self._publication,
            link=link,
            strip=strip,
            normal_pct=NORMAL_PCT,
            promised=METHODS[-1],
            least_answers=LEAST_ANSWERS,
            most_answers=MOST_ANSWERS,
            other="id" if language == "en" else "en",
            **dict.fromkeys(optional) | values,
        )


def search_path(language: str) -> str:
    return (ENGLISH if language == "en" else "") + SEARCH


def strip(days: Iterable[tuple[date, ServiceSeconds]], label: str) -> Markup:
    return day_strip([Day(day, seconds.good, seconds.bad, seconds.unknown) for day, seconds in days], label=label)
