"""The workbook that a district fills in and imports: every column of a site, pick lists where there are choices."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from openpyxl import Workbook
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation

from app.access.scope import Caller
from app.registry import regions
from app.registry.columns import SITE_COLUMNS
from app.registry.models import Level, Provider
from app.registry.vocabulary import BESIDE, CHOICES, TRUTH

ROWS = 5000  # so many carry pick lists
REQUIRED = frozenset({"village_code", "technology", "provider", "probe"})
BOLD = Font(bold=True)
NEEDED, OPTIONAL = (PatternFill("solid", fgColor=colour) for colour in ("FFE699", "DDEBF7"))
NUMBERS = {
    "latitude": "0.000000",
    "longitude": "0.000000",
    "bandwidth_down_mbps": "General",
    "bandwidth_up_mbps": "General",
    "port": "0",
}
AS_TEXT = "@"  # codes, phones and service numbers keep their zeros and signs

EXAMPLE = {
    "village_code": "64.02.05.2003",
    "name": "Kantor Desa Muara Badak Ulu",
    "kind": "titik akses",
    "technology": "serat optik",
    "provider": "Telkom WMS",
    "service_no": "4700001-0021",
    "link_role": "utama",
    "venue": "kantor desa",
    "location_note": "Jl. Poros Muara Badak, samping balai",
    "latitude": -0.3617,
    "longitude": 117.4391,
    "probe": "icmp",
    "host": "198.51.100.20",
    "host_static": "ya",
    "bandwidth_down_mbps": 50,
    "bandwidth_up_mbps": 10,
    "ssid": "Desa Muara Badak Ulu",
    "public_hours": "08.00-22.00",
    "power_source": "PLN",
    "power_hours": "24 jam",
    "contact_name": "nama narahubung",
    "contact_phone": "081200000000",
    "lifecycle": "aktif",
}

GUIDE = (
    "Isi lembar pertama, satu baris untuk satu titik akses. Lembar Contoh menunjukkan satu baris yang lengkap.",
    "Kolom berwarna kuning wajib diisi. Alamat IP atau host juga wajib, kecuali cara ukurnya laporan mandiri.",
    "Pilih dari daftar bila sel menawarkannya. Kode desa dan kelurahan ada di lembar Wilayah.",
    "Kosongkan Kode titik akses untuk titik yang baru: kode diberikan saat pendaftaran dan tidak pernah berubah.",
    "Lintang dan bujur ditulis dalam derajat desimal, misalnya -0,3617 dan 117,4391, atau dalam derajat, menit, detik.",
    "Titik di balik CGNAT (umumnya seluler dan satelit orbit rendah) memakai laporan mandiri.",
    "Nama dan telepon kontak adalah data pribadi: hanya terlihat oleh petugas kabupaten/kota dan provinsi.",
    "Periksa dulu sebelum menyimpan: setiap baris yang salah diterangkan, dan belum ada yang disimpan.",
)


def workbook(providers: Sequence[Provider], *, caller: Caller) -> bytes:
    """XLSX. The villages are those of the caller's region."""
    book = Workbook()
    sites: Any = book.active
    sites.title = "Titik akses"
    example, guide, places, lists = map(book.create_sheet, BESIDE)
    villages = _villages(caller)
    _table(places, ("Kode", "Desa/kelurahan", "Kecamatan", "Kabupaten/kota"), villages)
    _guide(guide)
    choices = {field: list(words.values()) for field, words in CHOICES.items()}
    names = [provider.name for provider in providers]
    ranges = _lists(lists, choices | {"host_static": list(TRUTH.values()), "provider": names})
    if villages:
        ranges["village_code"] = f"Wilayah!$A$2:$A${len(villages) + 1}"
    _header(sites)
    _header(example)
    example.append([EXAMPLE.get(column.field) for column in SITE_COLUMNS])
    for number, column in enumerate(SITE_COLUMNS, 1):
        letter = get_column_letter(number)
        sites.column_dimensions[letter].number_format = example.cell(2, number).number_format = NUMBERS.get(
            column.field, AS_TEXT
        )
        if column.field in ranges:
            sites.add_data_validation(_pick(ranges[column.field], f"{letter}2:{letter}{ROWS + 1}"))
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def _villages(caller: Caller) -> list[tuple[str, ...]]:
    names = regions.names()
    codes = [row["code"] for row in regions.read_csv() if row["level"] == Level.DESA_KELURAHAN and not row["valid_to"]]
    return [(code, names[code], names[code[:8]], names[code[:5]]) for code in codes if caller.covers(code)]


def _header(sheet: Any) -> None:
    """Each name with its meaning; what must be filled in stands on another ground."""
    sheet.freeze_panes = "C2"
    sheet.row_dimensions[1].height = 32
    for number, column in enumerate(SITE_COLUMNS, 1):
        cell = sheet.cell(1, number, column.indonesian)
        needed = column.field in REQUIRED
        cell.font, cell.fill = BOLD, NEEDED if needed else OPTIONAL
        cell.alignment = Alignment(wrap_text=True, vertical="center")
        unit = f" ({column.unit})" if column.unit else ""
        cell.comment = Comment(f"{'Wajib diisi: ' if needed else ''}{column.arti}{unit}", "Sinyal Desa")
        width = max(len(column.indonesian), len(str(EXAMPLE.get(column.field, "")))) + 3
        sheet.column_dimensions[get_column_letter(number)].width = max(12, min(width, 34))


def _lists(sheet: Any, choices: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """A column a list; the range of each by its field."""
    ranges = {}
    for number, (field, words) in enumerate(choices.items(), 1):
        letter = get_column_letter(number)
        sheet.cell(1, number, next(column.indonesian for column in SITE_COLUMNS if column.field == field)).font = BOLD
        sheet.column_dimensions[letter].width = 24
        for row, word in enumerate(words, 2):
            sheet.cell(row, number, word).data_type = "s"
        if words:
            ranges[field] = f"Pilihan!${letter}$2:${letter}${len(words) + 1}"
    return ranges


def _pick(source: str, cells: str) -> DataValidation:
    """Offers the choices and warns of others: the import reads synonyms too."""
    found = DataValidation(
        type="list",
        formula1=source,
        allow_blank=True,
        errorStyle="warning",
        showErrorMessage=True,
        errorTitle="Di luar daftar",
        error="Nilai ini tidak ada di daftar pilihan.",
    )
    found.add(cells)
    return found


def _table(sheet: Any, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    sheet.freeze_panes = "A2"
    for number, name in enumerate(names, 1):
        sheet.cell(1, number, name).font = BOLD
        sheet.column_dimensions[get_column_letter(number)].width = 28
    for row in rows:
        sheet.append(row)
    sheet.auto_filter.ref = sheet.dimensions


def _guide(sheet: Any) -> None:
    sheet.column_dimensions["A"].width = 110
    sheet.cell(1, 1, "Cara mengisi").font = BOLD
    for row, sentence in enumerate(GUIDE, 2):
        sheet.cell(row, 1, f"{row - 1}. {sentence}").alignment = Alignment(wrap_text=True)
