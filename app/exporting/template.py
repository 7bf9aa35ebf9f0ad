"""The import template: a workbook with every column of a site, pick lists, the villages, an example and a guide."""

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
from app.registry.models import Level, Provider
from app.registry.spreadsheet_columns import SITE_COLUMNS
from app.registry.vocabulary import CHOICES, TEMPLATE_SHEETS, YES_NO

MAX_ROWS = 5000  # rows with pick lists
REQUIRED = frozenset({"village_code", "technology", "provider", "probe"})
BOLD = Font(bold=True)
REQUIRED_FILL, OPTIONAL_FILL = (PatternFill("solid", fgColor=colour) for colour in ("FFE699", "DDEBF7"))
NUMBER_FORMATS = {
    "latitude": "0.000000",
    "longitude": "0.000000",
    "bandwidth_down_mbps": "General",
    "bandwidth_up_mbps": "General",
    "port": "0",
    "contract_from": "yyyy-mm-dd",
}
TEXT_FORMAT = "@"  # keeps leading zeros of codes, phones and service numbers

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
    "presence": "selalu",
    "vantages": "pusat",
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
    "Kosongkan Kode titik akses untuk titik akses baru: kode diberikan saat pendaftaran dan tidak pernah berubah.",
    "Lintang dan bujur ditulis dalam derajat desimal, misalnya -0,3617 dan 117,4391, atau dalam derajat, menit, detik.",
    "Titik akses di balik CGNAT (umumnya seluler dan satelit orbit rendah) memakai laporan mandiri.",
    "Kehadiran perangkat kadang-kadang: untuk laporan mandiri dari PC atau kotak yang memang dimatikan tiap hari; "
    "diamnya bukan putus layanan. Tulis jam layanan publiknya seperti 08.00-16.00.",
    "Nama dan telepon kontak adalah data pribadi: hanya terlihat oleh petugas kabupaten/kota dan provinsi.",
    "Periksa dulu sebelum menyimpan: setiap baris yang salah diterangkan, dan belum ada yang disimpan.",
)


def workbook(providers: Sequence[Provider], *, caller: Caller) -> bytes:
    """Return the XLSX, with the villages of the caller's region."""
    book = Workbook()
    sites: Any = book.active
    sites.title = "Titik akses"
    example, guide, village_list, choice_lists = map(book.create_sheet, TEMPLATE_SHEETS)
    villages = _villages(caller)
    _table(village_list, ("Kode", "Desa/kelurahan", "Kecamatan", "Kabupaten/kota"), villages)
    _guide(guide)
    choices = {field: list(words.values()) for field, words in CHOICES.items()}
    names = [provider.name for provider in providers]
    ranges = _write_choices(choice_lists, choices | {"host_static": list(YES_NO.values()), "provider": names})
    if villages:
        ranges["village_code"] = f"Wilayah!$A$2:$A${len(villages) + 1}"
    _header(sites)
    _header(example)
    example.append([EXAMPLE.get(column.field) for column in SITE_COLUMNS])
    for number, column in enumerate(SITE_COLUMNS, 1):
        letter = get_column_letter(number)
        sites.column_dimensions[letter].number_format = example.cell(2, number).number_format = NUMBER_FORMATS.get(
            column.field, TEXT_FORMAT
        )
        if column.field in ranges:
            sites.add_data_validation(_pick(ranges[column.field], f"{letter}2:{letter}{MAX_ROWS + 1}"))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _villages(caller: Caller) -> list[tuple[str, ...]]:
    names = regions.names()
    codes = [row["code"] for row in regions.read_csv() if row["level"] == Level.DESA_KELURAHAN and not row["valid_to"]]
    return [(code, names[code], names[code[:8]], names[code[:5]]) for code in codes if caller.covers(code)]


def _header(sheet: Any) -> None:
    """Write each column's name, with its meaning as a comment; required columns have another colour."""
    sheet.freeze_panes = "C2"
    sheet.row_dimensions[1].height = 32
    for number, column in enumerate(SITE_COLUMNS, 1):
        cell = sheet.cell(1, number, column.indonesian)
        required = column.field in REQUIRED
        cell.font, cell.fill = BOLD, REQUIRED_FILL if required else OPTIONAL_FILL
        cell.alignment = Alignment(wrap_text=True, vertical="center")
        unit = f" ({column.unit})" if column.unit else ""
        cell.comment = Comment(f"{'Wajib diisi: ' if required else ''}{column.arti}{unit}", "Sinyal Desa")
        width = max(len(column.indonesian), len(str(EXAMPLE.get(column.field, "")))) + 3
        sheet.column_dimensions[get_column_letter(number)].width = max(12, min(width, 34))


def _write_choices(sheet: Any, choices: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Write one column for each list; return the range of each by field."""
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
    """Offer the choices but only warn of other values: the import reads synonyms, too."""
    validation = DataValidation(
        type="list",
        formula1=source,
        allow_blank=True,
        errorStyle="warning",
        showErrorMessage=True,
        errorTitle="Di luar daftar",
        error="Nilai ini tidak ada di daftar pilihan.",
    )
    validation.add(cells)
    return validation


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
