"""A messy spreadsheet as districts send them: a row for every village, in varying notations, with planted errors."""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import openpyxl

from app.registry import regions
from app.registry.models import Level

PROVIDERS = {"telkom-wms": "Telkom WMS", "iconplus": "Icon+", "orbit": "Orbit"}
HEADER = [
    "No",
    "Kabupaten/Kota",
    "Kecamatan",
    "Desa / Kelurahan",
    "Kode Wilayah",
    "Media Akses",
    "ISP",
    "SID",
    "Metode Ukur",
    "IP/Host",
    "Lintang (derajat)",
    "Longitude (BT)",
    "Bandwidth (Mbps)",
    "IP Statis",
    "Tempat",
    "Listrik",
    "PIC",
    "No. HP",
    "ALAMAT  LOKASI",
    "Ket.",
]
HEADER_ROW, FIRST_ROW = 5, 7  # a row of column numbers stands between


@dataclass(slots=True)
class Messy:
    """The workbook, its planted errors by row and field, and the rows that repeat another."""

    data: bytes = b""
    wrong: dict[int, dict[str, str]] = field(default_factory=dict)
    repeated: set[int] = field(default_factory=set)
    rows: int = 0


# Each planted error: cells to replace, by column; the fault codes it must yield, by field.
PLANTED: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"Kode Wilayah": "64.02.05.9999"}, {"village_code": "unknown_village"}),
    ({"Kode Wilayah": "6403050003"}, {"village_code": "bps_code"}),
    ({"Kode Wilayah": "64.02"}, {"village_code": "not_a_village"}),
    ({"Kode Wilayah": None, "Desa / Kelurahan": "Muara Antah Berantah"}, {"village_code": "unknown_village_name"}),
    ({"Kode Wilayah": None, "Desa / Kelurahan": None}, {"village_code": "missing"}),
    ({"Media Akses": "satelit"}, {"technology": "enum"}),
    ({"Media Akses": None}, {"technology": "missing"}),
    ({"ISP": "Telkomm"}, {"provider": "unknown_provider"}),
    ({"IP/Host": "10.20.30.40"}, {"host": "forbidden_host"}),
    ({"IP/Host": "198.51.100"}, {"host": "bad_host"}),
    ({"IP/Host": None, "Metode Ukur": "ping"}, {"host": "missing"}),
    ({"Lintang (derajat)": "0°75'12\" LS"}, {"latitude": "bad_coordinate"}),
    ({"Lintang (derajat)": 117.1, "Longitude (BT)": -0.5}, {"latitude": "outside_kaltim"}),
    ({"Longitude (BT)": None, "Lintang (derajat)": "-0,5"}, {"longitude": "missing"}),
    ({"Longitude (BT)": "117.439.100"}, {"longitude": "bad_coordinate"}),
    ({"Bandwidth (Mbps)": "50,000"}, {"bandwidth_down_mbps": "ambiguous_number"}),
    ({"Bandwidth (Mbps)": "cepat"}, {"bandwidth_down_mbps": "float_parsing"}),
    ({"Bandwidth (Mbps)": -10}, {"bandwidth_down_mbps": "greater_than"}),
    ({"IP Statis": "kadang-kadang"}, {"host_static": "bool_parsing"}),
    ({"SID": datetime(2026, 3, 4)}, {"service_no": "became_date"}),  # noqa: DTZ001  # as workbooks have them
    ({"SID": 4700001002100021}, {"service_no": "rounded"}),
    ({"Bandwidth (Mbps)": "=D1*2"}, {"bandwidth_down_mbps": "uncomputed"}),
    ({"Tempat": "#REF!"}, {"venue": "excel_error"}),
    ({"Listrik": "kincir air"}, {"power_source": "enum"}),
    ({"Metode Ukur": "tcp"}, {"port": "missing"}),
    (
        {"ISP": "Telkomm", "IP/Host": "127.1", "Listrik": "aki", "Longitude (BT)": 250},
        {"provider": "unknown_provider", "host": "bad_host", "power_source": "enum", "longitude": "outside_kaltim"},
    ),
]


def messy() -> Messy:
    """Return 1,038 rows, one for each village except those that repeat another."""
    messy = Messy()
    book = openpyxl.Workbook()
    notes: Any = book.active
    notes.title = "Petunjuk"
    notes.append(["Isi satu baris untuk setiap titik akses"])
    page: Any = book.create_sheet("Titik Akses 2026")
    titles = ("PEMERINTAH PROVINSI KALIMANTAN TIMUR", "DAFTAR TITIK AKSES INTERNET DESA", None, "per November 2026")
    for line in (*([title] for title in titles), HEADER, [f"({n})" for n in range(1, len(HEADER) + 1)]):
        page.append(line)
    page.merge_cells("A1:T1")
    rows = [dict(zip(HEADER, row, strict=True)) for row in _rows()]
    _plant(rows, messy)
    for row in rows:
        page.append(list(row.values()))
    _merge_districts(page, rows)
    page.cell(FIRST_ROW + len(rows) + 3, 20, "\u00a0")  # left behind by trailing blanks
    page.cell(FIRST_ROW + len(rows) + 5, 1, "Mengetahui,")
    out = io.BytesIO()
    book.save(out)
    messy.data, messy.rows = _with_results(out.getvalue()), len(rows)
    return messy


def _with_results(data: bytes) -> bytes:
    """Add stored results to the formulas, as Excel does and openpyxl does not."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"<f>25*2</f><v />", b"<f>25*2</f><v>50</v>"))
    return out.getvalue()


def _plant(rows: list[dict[str, Any]], messy: Messy) -> None:
    for index, (cells, codes) in enumerate(PLANTED):
        at = 20 + 37 * index
        rows[at] |= cells
        messy.wrong[FIRST_ROW + at] = codes
    for at, of in ((101, 99), (102, 99)):  # the same row again
        rows[at] = {**rows[of], "No": at + 1}
        messy.repeated.add(FIRST_ROW + at)
    rows[105] = {**rows[104], "No": 106, "Ket.": "pindah ke balai"}  # the same site, saying something else
    messy.wrong[FIRST_ROW + 104] = messy.wrong[FIRST_ROW + 105] = {"notes": "contradiction"}
    rows[108]["IP/Host"] = rows[110]["IP/Host"] = "198.51.100.250"  # one address for two
    rows[108]["Metode Ukur"] = rows[110]["Metode Ukur"] = "ICMP"
    messy.wrong[FIRST_ROW + 108] = messy.wrong[FIRST_ROW + 110] = {"host": "duplicate_address"}


def _rows() -> Iterator[list[Any]]:
    names, repeats = regions.names(), _repeated_names()
    for n, village in enumerate(row for row in regions.read_csv() if row["level"] == Level.DESA_KELURAHAN):
        code, name = village["code"], village["name"]
        by_name = n % 5 == 3 and (code[:8], name) not in repeats
        push = n % 9 == 4
        yield [
            n + 1,
            names[code[:5]],
            f"Kec. {names[code[:8]]}",
            _village(n, village),
            None if by_name else _code(n, code),
            ("Serat Optik", "FO", "fiber", "Radio", "VSAT", "satelit GEO (VSAT)", "Starlink")[n % 7],
            ("Telkom WMS", "telkom-wms", "ICON+", "Orbit\u00a0")[n % 4],
            service_no(n),
            "push" if push else ("ICMP", "ping ", "icmp")[n % 3],
            None if push else _host(n),
            _degrees(n, village["latitude"], "LS", "LU"),
            _degrees(n + 2, village["longitude"], "BB", "BT"),
            ("=25*2", "50", "12,5", "20 Mbps", "1.000", None)[n % 6],
            ("Ya", "ya", True, None)[n % 4],
            ("Kantor Desa", "SEKOLAH", "Puskesmas", "-", "Balai Desa")[n % 5],
            ("PLN", "PLN terbatas", "Genset", "PLTS", "tidak ada", None)[n % 6],
            f"Narahubung {n}",
            (f"0812{n:08d}", 81200000000.0 + n, "'+62 812 0000", "-")[n % 4],
            f"Jl. Poros\nRT {n % 20}" if n % 3 else None,
            ("", "\u00a0", "N/A", "aman")[n % 4],
        ]


def _repeated_names() -> set[tuple[str, str]]:
    """Return (subdistrict, name) shared by two villages."""
    seen: set[tuple[str, str]] = set()
    twice = set()
    for row in regions.read_csv():
        key = (row["code"][:8], row["name"])
        twice |= {key} & seen
        seen.add(key)
    return twice


def _village(n: int, village: dict[str, Any]) -> str:
    name = village["name"]
    return (name, f"DESA {name.upper()}", f"{name} ", f"{village['type'].title()} {name}")[n % 4]


def _code(n: int, code: str) -> Any:
    return (code, code.replace(".", ""), int(code.replace(".", "")), f" {code}\u00a0")[n % 4]


def service_no(n: int) -> Any:
    return (f"4700-{n:05d}", 470000000 + n, float(480000000 + n), f" 122{n:07d} ")[n % 4]


def _host(n: int) -> str:
    return f"203.0.{n // 250}.{n % 250}" if n % 6 else f"Titik{n}.Example.ID"


def _degrees(n: int, value: float, negative: str, positive: str) -> Any:
    """Write a coordinate in one of five notations."""
    size, side = abs(value), negative if value < 0 else positive
    minutes, seconds = divmod(round(size * 3600, 2), 60)
    whole, minutes = divmod(int(minutes), 60)
    return (
        value,
        f"{value}".replace(".", ","),
        f"{whole}°{minutes}'{seconds:.2f}\" {side}".replace(".", ","),
        f"{whole} {minutes} {seconds:.2f} {side}",
        f"{size} {side}",
    )[n % 5]


def _merge_districts(page: Any, rows: list[dict[str, Any]]) -> None:
    """Merge the cells of each district and subdistrict over their rows."""
    for column, name in ((2, "Kabupaten/Kota"), (3, "Kecamatan")):
        start = 0
        for at in range(1, len(rows) + 1):
            if at == len(rows) or rows[at][name] != rows[start][name]:
                if at - start > 1:
                    page.merge_cells(
                        start_row=FIRST_ROW + start, end_row=FIRST_ROW + at - 1, start_column=column, end_column=column
                    )
                start = at
