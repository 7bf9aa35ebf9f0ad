"""A report's paper over the API: the same bytes again, to each caller what it may see; and its public page."""

import asyncio
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from lxml import html
from openpyxl import load_workbook
from pypdf import PdfReader

from app.reports import paper_of_report
from app.reports.models import Report
from app.reports.paper_of_report import HashDiffers, paper_of
from app.settings import ROOT
from app.web.account_queues import AccountQueues
from tests.conftest import Person
from tests.support.report_month import PARTIES, ReportMonth
from tests.support.shared_start import SharedStart
from tests.support.site_histories import execute

PUBLIC_URL = "https://sinyal.example.id"


@pytest.fixture
def address(made: tuple[SharedStart, ReportMonth], monkeypatch: pytest.MonkeyPatch) -> None:
    state = made[0].app.state._state
    monkeypatch.setitem(state, "settings", state["settings"].model_copy(update={"public_url": PUBLIC_URL}))


async def document(person: Person, report: int, form: str, **headers: str) -> httpx.Response:
    answer = await person.get(f"/reports/{report}/document", headers=headers, params={"format": form})
    assert answer.status_code == 200, answer.text
    return answer


def text_of(pdf: bytes) -> str:
    return re.sub(r"[\s\u200b]", "", "".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages))


@pytest.mark.usefixtures("address")
async def test_an_issued_paper_holds_its_data_and_can_be_recomputed(month: ReportMonth, tmp_path: Path) -> None:
    report = await month.issued()
    answer = await document(month.cast.icon, report["id"], "pdf")
    assert answer.headers["content-type"] == "application/pdf"
    assert f'filename="{report["number"]}.pdf"' in answer.headers["content-disposition"]
    assert (await document(month.cast.sari, report["id"], "pdf")).content == answer.content
    assert answer.headers["content-encoding"] == "gzip"
    plain = await document(month.cast.sari, report["id"], "pdf", **{"Accept-Encoding": "identity"})
    assert (plain.headers["content-encoding"], plain.content) == ("identity", answer.content)
    for name, [content] in PdfReader(io.BytesIO(answer.content)).attachments.items():
        assert (await month.cast.sari.get(f"/reports/{report['id']}/files/{name}")).content == content
    text = text_of(answer.content)
    for said in (
        report["sha256"],
        report["number"],
        f"{PUBLIC_URL}/verifikasi/{report['verify_code']}",
        "Rina",
        "Budi",
        "dinyatakanpenyedia(tokenicon)",
    ):
        assert said in text
    (tmp_path / "paper.pdf").write_bytes(answer.content)
    command = [sys.executable, "-I", str(ROOT / "docs" / "verify_report.py"), str(tmp_path / "paper.pdf")]
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert report["sha256"] in ran.stdout
    assert f"restitution_idr: {report['totals']['restitution_idr']}" in ran.stdout


@pytest.mark.usefixtures("address")
async def test_a_draft_is_marked_and_has_no_number(month: ReportMonth) -> None:
    draft = await month.draft(parties=PARTIES)
    answer = await document(month.cast.icon, draft["id"], "pdf")
    assert f'filename="rancangan-{draft["id"]}.pdf"' in answer.headers["content-disposition"]
    text = text_of(answer.content)
    assert "RANCANGAN" in text
    assert "BA-2" not in text
    page = await document(month.cast.icon, draft["id"], "html")
    assert "Rancangan: belum berlaku" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_whoever_asks_does_not_choose_the_address_in_a_paper(month: ReportMonth) -> None:
    draft = await month.draft()
    pdf = (await document(month.cast.icon, draft["id"], "pdf", Host="evil.example")).content
    page = (await document(month.cast.icon, draft["id"], "html", Host="evil.example")).text
    assert "evil.example" not in text_of(pdf) + page
    assert draft["verify_code"] in text_of(pdf)


async def test_a_district_gets_an_extract_that_says_so(month: ReportMonth) -> None:
    report = await month.issued()
    pdf = text_of((await document(month.cast.ben, report["id"], "pdf")).content)
    page = (await document(month.cast.ben, report["id"], "html")).text
    book = load_workbook(
        io.BytesIO((await document(month.cast.ben, report["id"], "xlsx", **{"Accept-Language": "id"})).content)
    )
    cells = {str(cell) for sheet in book for row in sheet.values for cell in row}
    own, others = month.codes[month.there], month.codes[month.here]
    assert "KUTIPAN" in pdf
    assert "Demikian" not in pdf + page, "nobody signs an extract"
    assert "KutipanuntukKabupatenBerau" in pdf
    assert report["sha256"] not in pdf
    assert "Kutipan untuk Kabupaten Berau" in page
    assert "Kutipan untuk Kabupaten Berau" in cells
    for content in (pdf, page, " ".join(cells)):
        assert own in content
        assert others not in content


async def test_another_provider_gets_no_paper(month: ReportMonth, telkom: Person) -> None:
    report = await month.issued()
    for form in ("pdf", "html", "xlsx"):
        assert (await telkom.get(f"/reports/{report['id']}/document", params={"format": form})).status_code == 404
    assert (
        await month.cast.sari.get(f"/reports/{report['id']}/document", params={"format": "docx"})
    ).status_code == 422


async def test_other_data_than_were_issued_become_no_paper(month: ReportMonth, monkeypatch: pytest.MonkeyPatch) -> None:
    issued = await month.issued()
    async with month.session.begin():
        report = await month.session.get_one(Report, issued["id"], populate_existing=True)
    assert paper_of(report, "64", PUBLIC_URL).heading.sha256 == report.sha256
    monkeypatch.setattr(paper_of_report, "report_files", lambda data: {"sites.csv": b"other"})
    with pytest.raises(HashDiffers, match=issued["number"]):
        paper_of(report, "64", PUBLIC_URL)


async def visit(made: tuple[SharedStart, ReportMonth], path: str, status: int = 200) -> str:
    transport = httpx.ASGITransport(made[0].app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get(path)
    assert answer.status_code == status, answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    main: Any = html.fromstring(answer.text).xpath("//main")[0]
    return " ".join(" ".join(main.itertext()).split())


async def test_anybody_verifies_an_issued_paper_by_its_code(
    made: tuple[SharedStart, ReportMonth], month: ReportMonth
) -> None:
    report = await month.issued()
    said = await visit(made, f"/verifikasi/{report['verify_code']}")
    paid = f"{report['totals']['payable_idr']:,}".replace(",", ".")
    for shown in (report["number"], "dan berlaku", report["sha256"], f"Rp {paid}", "K-Icon", "Baris 2"):
        assert shown in said
    for name in ("Rina", "Budi", "sari", *month.codes.values()):
        assert name not in said
    assert "and it is in force" in await visit(made, f"/en/verifikasi/{report['verify_code']}")
    await execute(month.session, "UPDATE contract SET number = 'K-Lain'")
    assert "K-Icon" in await visit(made, f"/verifikasi/{report['verify_code']}"), "as the paper says it"


async def test_a_corrected_paper_names_the_one_in_force(
    made: tuple[SharedStart, ReportMonth], month: ReportMonth
) -> None:
    first = await month.issued()
    await month.correct_ledger(6)
    correction = await month.cast.sari.post(f"/reports/{first['id']}/correct", {"reason": "surat 17"})
    assert correction.status_code == 201, correction.text
    assert "dan berlaku" in await visit(made, f"/verifikasi/{first['verify_code']}"), "a draft corrects nothing yet"
    second = await month.agreed(correction.json()["id"])
    said = await visit(made, f"/verifikasi/{first['verify_code']}")
    assert f"sudah dikoreksi: yang berlaku adalah {second['number']}" in said
    assert f"Mengoreksi {first['number']}" in await visit(made, f"/verifikasi/{second['verify_code']}")


async def test_a_draft_is_told_from_a_paper_in_force_and_shows_no_sums(
    made: tuple[SharedStart, ReportMonth], month: ReportMonth
) -> None:
    draft = await month.draft(parties=PARTIES)
    said = await visit(made, f"/verifikasi/{draft['verify_code']}")
    assert "Rancangan, belum berlaku" in said
    assert "Rp" not in said
    assert draft["sha256"] not in said


async def test_a_paper_of_simulated_data_is_never_said_to_be_in_force(
    made: tuple[SharedStart, ReportMonth], month: ReportMonth
) -> None:
    draft = await month.draft(parties=PARTIES)
    simulated = "jsonb_set(data::jsonb, '{simulated}', 'true')::text"
    issued = "status = 'issued', number = 'BA-9', issued_at = now(), issued_by = 'sari'"
    await execute(month.session, f"UPDATE report SET data = {simulated}, {issued}")
    said = await visit(made, f"/verifikasi/{draft['verify_code']}")
    assert "untuk latihan" in said
    assert "dan berlaku" not in said


async def test_the_code_of_a_paper_can_be_typed(made: tuple[SharedStart, ReportMonth], month: ReportMonth) -> None:
    code = (await month.issued())["verify_code"]
    transport = httpx.ASGITransport(made[0].app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        form = html.fromstring((await client.get("/verifikasi")).text).xpath("//form")[0]
        assert (form.action, form.inputs["kode"].value) == ("/verifikasi", "")
        for typed in (code, f" {code} ", f"https://sinyal.example.id/verifikasi/{code}"):
            led = await client.get("/verifikasi", params={"kode": typed})
            assert (led.status_code, led.headers["location"]) == (303, f"/verifikasi/{code}")
        led = await client.get("/en/verifikasi", params={"kode": code})
        assert led.headers["location"] == f"/en/verifikasi/{code}"
        wrong = await client.get("/verifikasi", params={"kode": '"><script>'})
        assert (wrong.status_code, "<script>" in wrong.text) == (422, False)
        assert "bukan kode dokumen" in wrong.text


@pytest.mark.parametrize("code", ["tidak-ada", "A" * 300, "%00", "%F0%9F%98%80", "'%20OR%201=1--"])
async def test_an_unknown_code_says_what_to_do(
    made: tuple[SharedStart, ReportMonth], month: ReportMonth, code: str
) -> None:
    assert "Pindai lagi kode QR-nya" in await visit(made, f"/verifikasi/{code}", 404)


async def test_papers_of_one_account_take_no_place_of_anothers(
    made: tuple[SharedStart, ReportMonth], month: ReportMonth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has as many in work as an account may does not get to the places that all share."""
    report, state = await month.draft(), made[0].app.state._state
    monkeypatch.setitem(state, "report_documents", AccountQueues(at_once=1, queued=0, retry_after_s=11))
    refused = await month.cast.icon.get(f"/reports/{report['id']}/document", params={"format": "html"})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "11")


async def test_a_flood_of_codes_takes_no_connection(
    made: tuple[SharedStart, ReportMonth], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(made[0].app.state._state, "verifications", asyncio.Semaphore(0))
    assert "verifikasi" not in await visit(made, "/verifikasi/abc", 503)
