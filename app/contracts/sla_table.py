"""The month's list as a table that goes into a letter: its rows, how they are counted, and their sums."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.aggregates.selection import SiteGroup
from app.aggregates.series_tables import name_group, table
from app.availability.contract_columns import CONTRACT_COLUMNS, COUNTED, VERDICT_COUNTS, VERDICT_WORDS
from app.contracts import dated_terms
from app.contracts.left_out import left_out
from app.contracts.sla_filter import SlaFilter
from app.contracts.sla_schemas import SlaOut, SlaTotals
from app.core.clock import to_wita
from app.core.tables import COUNT, MOMENT, Column, Language, Table, Text
from app.core.words import joined
from app.postgres.engine import among
from app.registry import regions
from app.registry.indonesian import TECHNOLOGIES
from app.registry.models import Contract, ContractTerms, Provider
from app.registry.site_labels import CODE, NAME, PROVIDER, REGION_COLUMNS, TECHNOLOGY

WHAT = Text("Pemenuhan kontrak", "Contracts met and missed")
METHOD = Text(
    "Ketersediaan = (masa layanan - dihitung putus - tidak diketahui) / (masa layanan - tidak diketahui), dalam detik. "
    "Tercapai: target terpenuhi sekalipun semua yang tidak diketahui putus. Tidak tercapai: sekalipun semuanya normal, "
    "target tidak terpenuhi. Selain itu belum dapat disimpulkan.",
    "Availability = (service - counted down - unknown) / (service - unknown), in seconds. Met: the target is reached "
    "even if all that is unknown was down. Missed: not even if all of it was good. Otherwise undetermined.",
)
CORRECTION = (
    *CONTRACT_COLUMNS,
    Column("recorded_at", "Dicatat", "Recorded", MOMENT),
    Column("corrected_because", "Alasan", "Reason"),
)
COLUMNS = (
    CODE,
    NAME,
    *REGION_COLUMNS,
    PROVIDER,
    TECHNOLOGY,
    Column("service_no", "Nomor layanan (SID)", "Service number"),
    Column("contract_number", "Nomor kontrak", "Contract number", path="contract.number"),
    *CONTRACT_COLUMNS,
    Column(
        "closed_at",
        "Bulan ditutup",
        "Month closed",
        MOMENT,
        arti="bulan yang ditutup tidak berubah lagi; koreksi tercatat di sebelahnya",
        meaning="a closed month never changes; a correction stands beside it",
    ),
    *(column.under("correction", "Koreksi", "Correction", sparse=True) for column in CORRECTION),
)
NOT_SUMMED = ("target_pct", "required_pct", "missed_by_s", "verdict")
SUM_COLUMNS = (
    Column(
        "sum_of",
        "Jumlah menurut",
        "Sum by",
        words={"all": "seluruhnya", "contract": "kontrak", "provider": "penyedia", "district": "kabupaten/kota"},
    ),
    Column("name", "Nama", "Name"),
    Column("sites", "Titik akses", "Sites", COUNT),
    *(column for column in COUNTED if column.name not in NOT_SUMMED),
    *VERDICT_COUNTS,
)


async def sla_table(session: AsyncSession, response: SlaOut, group: SiteGroup, *, filters: SlaFilter) -> Table:
    """Return the table of the rows, with their sums on a further sheet; it says which rows were asked for."""
    names = {row.slug: row.name for row in await session.execute(select(Provider.slug, Provider.name))}
    rows = [{**row.model_dump(), "provider": names[row.provider]} for row in response.items]
    name = (await name_group(session, group)).title
    title = Text(*(f"{what}: {of}" for what, of in zip(WHAT, name, strict=True)))
    whole = table(title, response, COLUMNS, rows)
    notes = [*await _filtered(session, filters, names), *(Text(note.id, note.en) for note in response.notes), METHOD]
    notes += await _left_out(session, response)
    sums = Table(None, SUM_COLUMNS, _sum_rows(response.totals), sheet=Text("Jumlah", "Sums"))
    return replace(whole, notes=[*whole.notes, *notes], further=[sums])


async def _filtered(session: AsyncSession, filters: SlaFilter, provider_names: Mapping[str, str]) -> list[Text]:
    """Return a line on what the rows, and therefore the sums, are confined to."""
    kinds, technologies = sorted(filters.verdicts), sorted(filters.technologies)
    of_ids = select(Contract.number).where(among(Contract.id, filters.contract_ids)).order_by(Contract.number)
    chosen: tuple[tuple[Text, Iterable[Text]], ...] = (
        (Text("putusan", "verdict"), (Text(VERDICT_WORDS[kind], kind.replace("_", " ")) for kind in kinds)),
        (Text("penyedia", "provider"), (_name(provider_names[slug]) for slug in filters.providers.values())),
        (Text("kontrak", "contract"), map(_name, await session.scalars(of_ids))),
        (Text("wilayah", "region"), (_name(f"{regions.names()[code]} ({code})") for code in filters.regions)),
        (Text("teknologi", "technology"), (Text(TECHNOLOGIES[name], name) for name in technologies)),
    )
    named = [(what, list(values)) for what, values in chosen]
    indonesian, english = (
        "; ".join(
            f"{what.to(language)} {', '.join(value.to(language) for value in values)}"
            for what, values in named
            if values
        )
        for language in (Language.ID, Language.EN)
    )
    return [Text(f"Hanya memuat: {indonesian}", f"Confined to: {english}")] if indonesian else []


def _name(name: str) -> Text:
    return Text(name, name)


async def _left_out(session: AsyncSession, response: SlaOut) -> list[Text]:
    """Return what each contract leaves out, again from each day on from which it was something else."""
    numbers = {of.contract.id: of.contract.number for of in response.totals.by_contract}
    first, last = to_wita(response.from_).date(), to_wita(response.to - timedelta(seconds=1)).date()
    terms: dict[int, list[ContractTerms]] = {contract_id: [] for contract_id in numbers}
    query = select(ContractTerms).where(among(ContractTerms.contract_id, numbers)).order_by(ContractTerms.started_on)
    for each in await session.scalars(query):
        terms[each.contract_id].append(each)
    texts = []
    for contract_id, number in numbers.items():
        told = None
        for day in (first, *(each.started_on for each in terms[contract_id] if first < each.started_on <= last)):
            what = joined(left_out(dated_terms.in_force(terms[contract_id], day)), "; ")
            sejak, since = ("", "") if told is None else (f" sejak {day}", f" from {day} on")
            if what != told:
                texts.append(
                    Text(
                        f"Kontrak {number}{sejak} tidak menghitung: {what['id']}",
                        f"Contract {number}{since} leaves out: {what['en']}",
                    )
                )
            told = what
    return texts


def _sum_rows(totals: SlaTotals) -> list[dict[str, Any]]:
    sums: Iterable[tuple[str, str, Any]] = (
        ("all", "", totals.whole),
        *(("contract", of.contract.number, of) for of in totals.by_contract),
        *(("provider", of.name, of) for of in totals.by_provider),
        *(("district", of.name, of) for of in totals.by_district),
    )
    return [{"sum_of": kind, **of.model_dump(), "name": name} for kind, name, of in sums]
