"""Documents are archives: tagged, with files inside, the same bytes again; and nothing typed breaks or alters one."""

import asyncio
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from app.documents import printable, typesetting
from app.documents.printable import SHOWN
from app.documents.typesetting import AttachedFile, TypesettingFailed, typeset

AT = datetime(2026, 11, 17, 1, 0, 0, 123_456, tzinfo=UTC)
FILE = AttachedFile("angka.csv", "desa,detik\r\nSepaku é,60\r\n".encode(), "text/csv", "Angka")
PROBE = """#import "paper.typ": *
#show: paper
= Judul
#typed(values.text)
#table(columns: 2, table.header([A], [B]), [1], typed(values.text))
"""
FRAME: dict[str, Any] = {
    "title": "Contoh",
    "author": "Sinyal Desa",
    "description": "contoh",
    "keywords": [],
    "watermark": None,
    "footer": {"number": "C-1", "sha256": "0" * 64, "method": "Metode", "mark": ""},
}


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template `probe.typ` that shows `text`, beside the product's own."""
    for template in typesetting.TEMPLATES.glob("*.typ"):
        (tmp_path / template.name).write_bytes(template.read_bytes())
    (tmp_path / "probe.typ").write_text(PROBE)
    monkeypatch.setattr(typesetting, "TEMPLATES", tmp_path)


async def typeset_text(text: str) -> bytes:
    return await typeset("probe.typ", FRAME | {"text": text}, [FILE], made_at=AT)


def root_of(pdf: bytes) -> Any:
    return PdfReader(io.BytesIO(pdf)).trailer["/Root"]


def text_of(pdf: bytes) -> str:
    return "".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


@pytest.mark.usefixtures("probe")
async def test_a_document_is_an_archive_that_a_reader_program_can_read_aloud() -> None:
    root = root_of(await typeset_text("Ketersediaan"))
    metadata = root["/Metadata"].get_data().decode()
    assert re.findall(r"<(pdf\w+id:\w+)>(\w+)<", metadata) == [
        ("pdfaid:part", "3"),
        ("pdfaid:conformance", "A"),
        ("pdfuaid:part", "1"),
    ]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "id"
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    tags = {str(element.get("/S")) for element in structure(root["/StructTreeRoot"])}
    assert {"/H1", "/Table", "/TH", "/TD"} <= tags


def structure(element: Any) -> Iterator[Any]:
    inside = element.get("/K", [])
    for child in inside if isinstance(inside, list) else [inside]:
        if not isinstance(child := getattr(child, "get_object", lambda child=child: child)(), int):
            yield child
            yield from structure(child)


@pytest.mark.usefixtures("probe")
async def test_files_inside_are_kept_byte_for_byte_as_data_of_the_document() -> None:
    pdf = await typeset_text("Ketersediaan")
    attachments = PdfReader(io.BytesIO(pdf)).attachments
    assert {name: list(contents) for name, contents in attachments.items()} == {FILE.name: [FILE.content]}
    [associated] = root_of(pdf)["/AF"]
    assert associated.get_object()["/AFRelationship"] == "/Data"


@pytest.mark.usefixtures("probe")
async def test_the_same_document_has_the_same_bytes_from_any_process() -> None:
    first, second = await asyncio.gather(typeset_text("Ketersediaan"), typeset_text("Ketersediaan"))
    assert first == second
    assert await typeset_text("Ketersediaan.") != first


@pytest.mark.usefixtures("probe")
@pytest.mark.parametrize(
    "text",
    [
        '#panic("berhenti") #read("/etc/passwd") $x^2$ *tebal* _a_ <label> @acuan \\ `kode` [a] {b} // c /* d ~ -- e',
        '"} #import "berita_acara.typ"',
    ],
)
async def test_markup_is_shown_as_it_was_typed(text: str) -> None:
    shown = " ".join(text_of(await typeset_text(text)).split())
    assert shown.count(text) == 2 or re.sub(r"\s", "", shown).count(re.sub(r"\s", "", text)) == 2


@pytest.mark.usefixtures("probe")
async def test_a_letter_that_the_font_lacks_is_shown_by_its_code() -> None:
    shown = text_of(await typeset_text("Desa 日 \U0001f600 \u202e \ue000 \x07 \ud83d"))
    assert "Desa [U+65E5] [U+1F600] [U+202E] [U+E000] [U+0007] [U+D83D]" in shown


@pytest.mark.usefixtures("probe")
async def test_every_letter_that_is_shown_as_itself_is_in_the_font() -> None:
    letters = [chr(code) for code in range(0x10000) if re.fullmatch(f"[{SHOWN}]", chr(code))]
    assert len(letters) > 1_000
    await typeset_text(" ".join(f"a{letter}" for letter in letters))  # the standards refuse a letter without a glyph


@pytest.mark.usefixtures("probe")
async def test_long_words_and_many_lines_stay_on_the_page() -> None:
    pdf = await typeset_text("A" * 3_000 + "\r\nbaris kedua\u2028baris ketiga")
    for page in PdfReader(io.BytesIO(pdf)).pages:
        positions: list[float] = []
        page.extract_text(visitor_text=lambda _, __, matrix, *rest, at=positions: at.append(matrix[4]))
        assert max(positions) < float(page.mediabox.width)
    assert {"baris kedua", "baris ketiga"} <= {line.strip() for line in text_of(pdf).splitlines()}


@pytest.mark.usefixtures("probe")
async def test_a_wrong_template_is_our_defect_and_says_where() -> None:
    with pytest.raises(TypesettingFailed, match="text"):
        await typeset("probe.typ", FRAME, made_at=AT)


@pytest.mark.usefixtures("probe")
async def test_a_document_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    (typesetting.TEMPLATES / "probe.typ").write_text(
        "#for a in range(9999) { for b in range(9999) { for c in range(9999) { } } }"
    )
    monkeypatch.setattr(typesetting, "WALL_S", 0.5)
    with pytest.raises(TypesettingFailed, match="took more than"):
        await typeset("probe.typ", FRAME, made_at=AT)


async def test_too_much_content_is_refused_before_a_process_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typesetting, "MAX_ORDER_BYTES", 1_000)
    with pytest.raises(TypesettingFailed, match="more content"):
        await typeset("probe.typ", {"text": "A" * 1_000}, made_at=AT)


def test_texts_are_composed_and_ends_of_lines_are_one() -> None:
    assert printable.printable("e\u0301\r\nb\tc\rd") == "é\nb c\nd"
    assert printable.printable_values({"a": ["\x00", 1, None]}) == {"a": ["[U+0000]", 1, None]}
