"""The papers of a report: every figure of the data set, whatever was typed, on any number of sites."""

import io
import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from lxml import html
from openpyxl import load_workbook
from pypdf import PdfReader

from app.core.tables import Language
from app.core.workbook import xlsx
from app.documents.figures import grouped
from app.reports.berita_acara import berita_acara
from app.reports.berita_acara_tables import report_table
from app.reports.paper_schemas import CORRECTS
from app.reports.papers import paper_page, paper_pdf
from app.reports.recap_schemas import RecapData
from app.reports.schemas import ReportData
from tests.reports.report_samples import HEADING, HOSTILE, LONG_NAME, LONG_WORD, recap_data, report_data

DRAFT = replace(HEADING, is_issued=False, issued_at=None)
FILES = {"sites.csv": b"site\r\n", "outages.csv": b"site\r\n", "method.json": b"{}\n"}
NOT_SPACE = re.compile(r"\S+")


def words_of(pdf: bytes) -> str:
    """Return the text of all pages without spaces: lines of a cell may be broken anywhere."""
    text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
    return re.sub(r"[\s\u200b]", "", text)


def squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


async def test_a_berita_acara_says_who_what_and_how_much() -> None:
    pdf = await paper_pdf(report_data(5), HEADING, FILES)
    text = words_of(pdf)
    for said in (
        "Nomor BA-2026-10-0007",
        "Selasa, tanggal tujuh belas bulan November tahun dua ribu dua puluh enam, bertempat di Samarinda",
        "Rina Wahyuni, S.T.",
        "31 hari = 2.678.400 detik",
        "dua puluh dua juta tiga ratus lima puluh sembilan ribu dua ratus lima rupiah",
        "Rp 140.795",
        "Diterima: Penyebab diubah menjadi listrik padam.",
        "07-10-2026 09.12.20",
        HEADING.sha256,
    ):
        assert squeezed(said) in text, said
    assert "RANCANGAN" not in text
    assert "SIMULASI" not in text
    assert set(PdfReader(io.BytesIO(pdf)).attachments) == set(FILES)


def test_the_list_of_outages_says_its_own_sum_and_where_the_lines_count_another() -> None:
    data = report_data(2)
    data.totals.counted_down_s = sum(outage.counted_s for outage in data.outages)
    same = berita_acara(data, HEADING)["outages_note"]
    data.totals.counted_down_s += 7
    other = berita_acara(data, HEADING)["outages_note"]
    assert other == same + f" Lampiran I menghitung {grouped(data.totals.counted_down_s)}: lihat Catatan."


@pytest.mark.parametrize("data", [report_data(5), recap_data()], ids=["month", "year"])
async def test_no_place_of_a_paper_is_left_unfilled(data: ReportData | RecapData) -> None:
    page = html.fromstring(paper_page(data, HEADING, "")).text_content()
    files = dict.fromkeys(FILES if isinstance(data, ReportData) else ("months.csv", "sites.csv"), b"{}\n")
    for text in (words_of(await paper_pdf(data, HEADING, files)), squeezed(page)):
        assert not re.search(r"[{}]|None", text)
        assert re.search(r"Demikian(beritaacara|rekapitulasi)inidibuat", text)


async def test_number_and_hash_stand_on_each_page() -> None:
    for page in PdfReader(io.BytesIO(await paper_pdf(report_data(5), HEADING, FILES))).pages:
        text = squeezed(page.extract_text())
        assert HEADING.number in text
        assert HEADING.sha256 in text


async def test_a_draft_of_simulated_data_says_so_on_each_page() -> None:
    pages = PdfReader(io.BytesIO(await paper_pdf(report_data(1, simulated=True), DRAFT, FILES))).pages
    for page in pages:
        text = page.extract_text()
        assert "RANCANGAN" in text
        assert "SIMULASI" in text
        assert "belum berlaku" in text
    assert "……" in pages[0].extract_text()  # the day is filled in by hand


async def test_a_paper_is_the_same_again() -> None:
    first = await paper_pdf(report_data(2), HEADING, FILES)
    assert await paper_pdf(report_data(2), HEADING, FILES) == first
    assert await paper_pdf(report_data(2), replace(HEADING, number="BA-2026-10-0008"), FILES) != first


@pytest.mark.parametrize("text", [HOSTILE, LONG_NAME + LONG_WORD], ids=["markup", "long"])
async def test_whatever_is_typed_stays_a_text_within_its_page(text: str) -> None:
    pdf = await paper_pdf(report_data(4, text=text), DRAFT, FILES)
    shown = squeezed(
        HOSTILE.replace("\u202e", "[U+202E]").replace("😀", "[U+1F600]").replace("日本", "[U+65E5][U+672C]")
    )
    assert (shown if text == HOSTILE else squeezed(LONG_WORD)) in words_of(pdf)
    for page in PdfReader(io.BytesIO(pdf)).pages:
        ends: list[float] = []
        page.extract_text(visitor_text=lambda _, __, matrix, *rest, at=ends: at.append(matrix[4]))
        assert max(ends) < float(page.mediabox.width)


async def test_each_of_many_sites_has_a_line_and_its_outages() -> None:
    text = words_of(await paper_pdf(report_data(50), HEADING, FILES))
    for number in range(50):
        assert text.count(f"64.02.05.{2000 + number}-01") >= 2, number
    assert "50barisLampiranI" in text.replace("(", "").replace(")", "")


def test_the_page_shows_what_is_typed_as_text() -> None:
    page = paper_page(report_data(3, text=HOSTILE + "<script>x</script>"), DRAFT, "")
    tree = html.fromstring(page)
    assert not tree.xpath("//script")
    assert not tree.xpath("//*[@style]")
    assert "\u202e" not in page
    text = tree.text_content()
    assert "<script>x</script>" in text
    assert "[U+202E]terbalik" in text
    assert "Rancangan: belum berlaku" in text


def test_page_and_pdf_say_the_same() -> None:
    data = report_data(5)
    text = squeezed(html.fromstring(paper_page(data, HEADING, "")).text_content())
    paper = berita_acara(data, HEADING)
    for site in paper["sites"]:
        for value in (site["name"], site["code"], site["good_s"], site["restitution"], site["verdict"]):
            assert squeezed(value) in text
    assert squeezed(paper["money"][2]["words"]) in text


def test_nothing_is_silent_where_nothing_was_computed() -> None:
    data = report_data(2)
    data.totals.statuses.update(due=0, no_rule=2)
    for site in data.sites:
        site.restitution.status = "no_rule"  # type: ignore[assignment]
    paper = berita_acara(data, HEADING)
    assert paper["money"][1]["amount"] == "–"
    assert "2 baris tanpa aturan restitusi" in paper["money_notes"][0]
    assert {site["restitution"] for site in paper["sites"]} == {"–"}


def test_the_workbook_has_a_sheet_for_each_part() -> None:
    book = load_workbook(io.BytesIO(xlsx(report_table(report_data(5, text="=1+1"), HEADING), Language.ID)))
    assert book.sheetnames[:5] == ["Titik akses", "Bagian masa", "Gangguan", "Keberatan", "Jumlah"]
    assert book["Bagian masa"].max_row == 7  # of five sites one has two stretches
    assert all(cell.data_type != "f" for sheet in book for row in sheet.iter_rows() for cell in row)
    [sums] = [dict(zip(*rows, strict=True)) for rows in [list(book["Jumlah"].values)]]
    assert sums["Restitusi (Rp)"] == 140_795


async def test_a_year_has_a_line_a_month_and_says_what_is_missing() -> None:
    data = recap_data()
    files = {"months.csv": b"month\r\n", "sites.csv": b"site\r\n", "method.json": b"{}\n"}
    text = words_of(await paper_pdf(data, HEADING, files))
    page = squeezed(html.fromstring(paper_page(data, HEADING, "")).text_content())
    for said in ("Agustus 2026", "Oktober 2026", "Belum terbit, jadi tidak dijumlahkan: November 2026, Desember 2026."):
        assert squeezed(said) in text
        assert squeezed(said) in page


def test_a_year_so_far_is_named_so() -> None:
    text = squeezed(html.fromstring(paper_page(recap_data(through="2026-10"), HEADING, "")).text_content())
    for said in ("Rekapitulasi Sementara", "tahun 2026 sampai dengan Oktober", "Restitusi sampai dengan Oktober 2026"):
        assert squeezed(said) in text
    assert squeezed("setahun") not in text


def test_of_very_many_outages_the_longest_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.reports.berita_acara_outages.MAX_LISTED", 3)
    data = report_data(5)
    for outage, counted_s in zip(data.outages, (500, 900, 700, 0, 500), strict=True):
        outage.counted_s = counted_s
    paper = berita_acara(data, HEADING)
    assert [outage["counted_s"] for outage in paper["outages"]] == ["500", "900", "700"]
    assert "Di sini 3 yang terlama" in paper["outages_note"]
    assert "1 gangguan lain lebih pendek" in paper["excluded_note"]


async def test_outages_that_a_decision_excluded_are_listed_with_their_reason() -> None:
    data = report_data(4)
    for outage, excluded in zip(
        data.outages, ({"power": 900}, {"short": 80}, {"parent": 60, "short": 9}, {}), strict=True
    ):
        outage.excluded = excluded
        outage.counted_s = 0 if excluded else outage.counted_s
    paper = berita_acara(data, HEADING)
    assert len(paper["outages"]) == 1
    assert [(each["excluded_s"], each["excluded"]) for each in paper["excluded_outages"]] == [
        ("900", ["listrik padam"]),
        ("69", ["induk putus", "lebih pendek dari batas kontrak"]),
    ]
    assert "2 gangguan dikecualikan seluruhnya" in paper["excluded_note"]
    assert "detiknya berjumlah 960" in paper["excluded_note"]
    for text in (words_of(await paper_pdf(data, HEADING, FILES)), squeezed(paper_page(data, HEADING, ""))):
        assert "Gangguanyangdikecualikan" in text


async def test_an_outage_behind_a_tower_says_which_and_what_the_tower_had() -> None:
    data = report_data(2)
    behind: dict[str, Any] = {
        "cause": None,
        "cause_set_by": None,
        "incident_id": None,
        "ticket_no": None,
        "duration_min_s": None,
    }
    behind |= {"unreachable_s": 3600, "compared_s": 3550, "parent_code": "64.02.05.2003-90", "parent_name": "Menara"}
    behind |= {"parent_incident_id": 70, "parent_ticket_no": "T-117", "parent_cause": "power"}
    data = ReportData.model_validate(
        {**data.model_dump(by_alias=True), "outages": [data.outages[0].model_dump() | behind, data.outages[1]]}
    )
    [line, other] = (paper := berita_acara(data, HEADING))["outages"]
    assert line["cause"] == "induk putus (listrik padam)"
    assert line["parent"] == "di balik Menara 64.02.05.2003-90 selama 1.00.00"
    assert line["incident"] == "induk: gangguan no. 70, tiket T-117"
    assert line["bounds"].startswith("0.59.10–")
    assert (other["parent"], other["incident"]) == (None, "gangguan no. 71")
    assert "1 di antaranya, dengan 8.910 detik" in paper["outages_note"]
    for text in (words_of(await paper_pdf(data, HEADING, FILES)), squeezed(paper_page(data, HEADING, ""))):
        assert squeezed(line["parent"]) in text


def test_a_proportion_is_a_row_and_all_else_is_written_out() -> None:
    paper = berita_acara(report_data(5), HEADING)
    due = [site for site in report_data(5).sites if site.restitution.status in {"due", "not_provable"}]
    assert len(paper["proportional"]) + len(paper["steps"]) == len(due)
    row = paper["proportional"][0]
    assert (row["fee"], row["down_s"], row["base_s"], row["exact"], row["idr"]) == (
        *("4.500.000", "16.760", "2.678.400", "28.158,6", "28.159"),
    )


def test_a_contract_that_ends_within_the_month_has_its_own_days() -> None:
    data = report_data(1)
    data.contract.valid_to = date(2026, 10, 20)
    facts = dict(berita_acara(data, HEADING)["facts"])
    assert "19 hari = 1.641.600 detik, selama kontrak berlaku" in facts["Masa pengukuran"]
    assert "31 hari = 2.678.400 detik" in facts["Bulan seluruhnya"]


@pytest.mark.parametrize(
    ("unknown_s", "contested_s", "said"),
    [
        (0, 0, []),
        (90, 0, ["tidak terukur oleh kami"]),
        (90, 30, ["tidak terukur oleh kami", "terukur putus, dan dibantah keterangan perangkat di titik akses"]),
        (30, 30, ["terukur putus, dan dibantah keterangan perangkat di titik akses"]),
    ],
)
def test_unknown_is_told_apart_from_contested(unknown_s: int, contested_s: int, said: list[str]) -> None:
    data = report_data(1)
    data.totals.unknown_s, data.outages[0].contested_s = unknown_s, contested_s
    labels = [row["label"] for row in berita_acara(data, HEADING)["seconds"]]
    assert labels[labels.index("Tidak diketahui") + 1 :] == said


async def test_a_correction_says_on_its_first_page_what_it_corrects_and_why() -> None:
    data = report_data(1, corrects=CORRECTS)
    pdf = PdfReader(io.BytesIO(await paper_pdf(data, replace(HEADING, is_correction=True), FILES)))
    first = squeezed(pdf.pages[0].extract_text().replace("\u200b", ""))
    assert squeezed(f"Mengoreksi dan menggantikan {CORRECTS['number']}. Alasan: {CORRECTS['reason']}") in first
    assert CORRECTS["sha256"] in "".join(page.extract_text() for page in pdf.pages), "a hash can be copied"
    assert CORRECTS["reason"] in paper_page(data, HEADING, "")
