"""Ten spreadsheets as the province's offices write them, each with its own habits, about real villages.

None has a column for the probe. Providers are called by their aliases (`ALIASES`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import openpyxl

from app.registry import regions
from tests.support.imports import saved

PROVIDERS = {"telkom-wms": "Telkom WMS", "iconplus": "Icon+", "mahakam-net": "Mahakam Net", "starlink": "Starlink"}
ALIASES = {
    "telkom-wms": ["Telkom", "Indihome", "Astinet Telkom"],
    "iconplus": ["PLN Icon Plus", "Iconnet"],
    "starlink": ["SpaceX Starlink"],
}
CONTRACT = {"number": "027/KONTRAK/2026", "provider": "iconplus", "valid_from": "2026-01-01", "sla_target_pct": 99}


@dataclass(slots=True)
class DistrictSheet:
    office: str
    habits: str
    data: bytes
    sites: int  # rows that describe one
    told: dict[str, dict[str, str]] = field(default_factory=dict)  # fault codes by field, of each wrong row's label
    probes: dict[str, int] = field(default_factory=dict)  # of the rows understood
    warnings: set[str] = field(default_factory=lambda: {"assumed_probe"})


def villages(subdistrict: str) -> list[str]:
    return [regions.names()[code] for code in regions.children(subdistrict)]


def host(sheet: int, number: int) -> str:
    return f"203.0.{sheet}.{number}"


def book(*pages: tuple[str, Sequence[Sequence[Any]], Sequence[str]]) -> bytes:
    """Return a workbook of sheets with their names, rows and merges."""
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.worksheets[0])
    for name, rows, merges in pages:
        page: Any = workbook.create_sheet(name)
        for row in rows:
            page.append(list(row))
        for merge in merges:
            page.merge_cells(merge)
    return saved(workbook)


def kutai_kartanegara() -> DistrictSheet:
    names = villages("64.02.05")
    rows: list[list[Any]] = [
        ["PEMERINTAH KABUPATEN KUTAI KARTANEGARA"],
        ["DINAS KOMUNIKASI DAN INFORMATIKA"],
        ["Jl. Wolter Monginsidi, Kec. Tenggarong, Telp. (0541) 661000"],
        [],
        ["No", "Kec.", "Nama Desa", "ISP", "Jenis Koneksi", "BW", "IP Publik", "Nama PIC", "No HP PIC", "Ket."],
    ]
    rows += [
        [n, "Muara Badak", f"Desa {name}", "Telkom", "FO", "50 Mbps", host(1, n), "Bu Ida", f"0812-5500-{n:04d}", None]
        for n, name in enumerate(names, 1)
    ]
    rows[-2][2], rows[-7][2], rows[-4][2] = "Ds. Salo Cela", "Badak  Baru", "Gas Alam Badak 1"
    last = len(rows)
    rows += [
        ["Jumlah", None, None, None, None, 650],
        [],
        [None] * 6 + ["Tenggarong, 3 November 2026"],
        [None, None, "Mengetahui,", None, None, None, "Operator"],
        [None, None, "Kepala Dinas Kominfo", "Drs. H. Amir", None, None, "Rudi, S.Kom"],
        [None, None, "NIP. 19700101 199503 1 001"],
    ]
    told = {str(last - 1): {"village_code": "unknown_village_name"}}  # Sallo Cela
    return DistrictSheet(
        "Diskominfo Kutai Kartanegara",
        "letterhead, kecamatan merged over its villages, subtotal, signatures, numerals, one village misspelt",
        book(("Sheet1", rows, ("A1:J1", "A2:J2", "A3:J3", f"B6:B{last}"))),
        len(names),
        told,
        {"icmp": len(names) - 1},
        {"assumed_probe", "skipped_rows"},
    )


def kutai_timur() -> DistrictSheet:
    names = villages("64.08.06")
    lines = ["Kab/Kota;Kecamatan;Desa;Jenis Koneksi;Penyedia;Titik Koordinat;Bandwidth (Mbps);IP Address;No. HP PIC"]
    lines += [
        f"Kutim;Busang;{name.upper()};VSAT;Mahakam Net;0,9{n}, 116,5{n};12,5;{host(2, n)};8125510{n:04d}"
        for n, name in enumerate(names, 1)
    ]
    lines[3] = lines[3].replace("Kutim", "Kutim Timur")
    lines[5] = lines[5].replace("81255100005", "8,12E+10")
    return DistrictSheet(
        "Bappeda Kutai Timur",
        "CSV with semicolons, Kutim, decimal commas, both coordinates in a cell, phones without 0 or as 8,12E+10",
        "\r\n".join(lines).encode("cp1252"),
        len(names),
        {"4": {"district": "unknown_district"}, "6": {"contact_phone": "rounded"}},
        {"icmp": len(names) - 2},
    )


def penajam_paser_utara() -> DistrictSheet:
    pages = []
    header = ["No", "Desa/Kel", "Provider", "Media", "Kecepatan", "IP", "Lat", "Long"]
    for sheet, code in enumerate(("64.09.02", "64.09.03"), 3):
        rows: list[list[Any]] = [[f"DATA INTERNET DESA {regions.names()[code].upper()}"], header]
        for n, name in enumerate(villages(code), 1):
            rows.append([n, f"Kel/Desa {name}", "Indihome", "Fiber Optik", 20, host(sheet, n), None, None])
        pages.append((f"Kec. {regions.names()[code]}", rows, ()))
    pages.append(("Rekap", [["Kecamatan", "Jumlah Titik"], ["Waru", 4], ["Babulu", 12]], ()))
    return DistrictSheet(
        "Diskominfo PPU",
        "a sheet for each kecamatan, its name only on the tab, a summary sheet",
        book(*pages),
        16,
        {},
        {"icmp": 16},
        {"assumed_probe", "unread_sheet"},
    )


def kutai_barat() -> DistrictSheet:
    rows: list[list[Any]] = [["REKAPITULASI JARINGAN INTERNET KAMPUNG"], ["KABUPATEN KUTAI BARAT TAHUN 2026"], []]
    rows.append(["No", "Nama Kampung", "Nama ISP", "Teknologi", "Bandwidth", "Alamat IP", "Keterangan"])
    number, told = 0, {}
    for letter, code in (("A", "64.07.06"), ("B", "64.07.20")):
        rows.append([f"{letter}.", f"KECAMATAN {regions.names()[code].upper()}"])
        for name in villages(code):
            number += 1
            provider = "Icon Pluss" if number == 3 else "PT. PLN Icon Plus"
            if number == 3:
                told[str(len(rows) + 1)] = {"provider": "unknown_provider"}
            rows.append([number, f"Kp. {name}", provider, "Kabel FO", "1.000", host(5, number), "-"])
        rows.append([None, "Sub Total", None, None, "6.000", None, None])
    rows.append([None, "TOTAL", None, None, "14.000", None, None])
    return DistrictSheet(
        "Diskominfo Kutai Barat",
        "kecamatan as heading rows, subtotals, thousands with dots, PT., one provider misspelt",
        book(("Kubar", rows, ("A1:G1", "A2:G2"))),
        number,
        told,
        {"icmp": number - 1},
        {"assumed_probe", "skipped_rows"},
    )


def mahakam_ulu() -> DistrictSheet:
    names = villages("64.11.05")
    rows: list[list[Any]] = [
        ["No", "Lokasi", None, "Jaringan", None, "Bandwidth (Mbps)", None, "Koordinat", None, "PIC", None, "IP"],
        [None, "Kecamatan", "Kampung", "ISP", "Jenis", "Unduh", "Unggah", "LS", "BT", "Nama", "No HP", None],
        list(range(1, 13)),
    ]
    rows[1][4] = "Teknologi"
    for n, name in enumerate(names, 1):
        leo = n % 2
        spelt = name.replace(" II", " 2").replace(" I", " 1") if name.startswith("Long Pahangai") else name
        link = ["SpaceX Starlink", "Starlink", 100, 10] if leo else ["Mahakam Net", "V-SAT", 4, 1]
        ip = "100.64.3.7" if n == 1 else "dinamis" if leo else None
        rows.append([n, "Long Pahangai", spelt, *link, None, None, f"Petinggi {name}", 81250000000 + n, ip])
    merges = ("A1:A2", "B1:C1", "D1:E1", "F1:G1", "H1:I1", "J1:K1", "L1:L2")
    return DistrictSheet(
        "Diskominfo Mahakam Ulu",
        "two header rows, a row of column numbers, numerals, no IP but CGNAT and dinamis",
        book(("Titik Mahulu", rows, merges)),
        len(names),
        {},
        {"push": len(names)},
    )


def berau() -> DistrictSheet:
    names = villages("64.03.07")
    lines = [
        "Village,Subdistrict,Technology,Provider,Download,Upload,IP Address,Latitude,Longitude,Contact Person,Phone"
    ]
    lines += [
        f'Kampung {name},P. Derawan,Fibre Optic,Telkom WMS,"12.5",5,{host(6, n)},2.1{n},118.1{n},Pak Udin,0813{n:07d}'
        for n, name in enumerate(names, 1)
    ]
    lines[4] = lines[4].replace("Fibre Optic", "wifi")
    return DistrictSheet(
        "DPMK Berau",
        "CSV of Google Sheets in English, decimal points, P. Derawan, one technology of no known kind",
        "\n".join(lines).encode(),
        len(names),
        {"5": {"technology": "enum"}},
        {"icmp": len(names) - 1},
    )


def paser() -> DistrictSheet:
    names = villages("64.01.05")
    rows: list[list[Any]] = [
        ["Kab.", "Kec", "Kel/Desa", "SID", "Operator", "Media Akses", "Kapasitas", "IP Publik", "Koordinat"]
    ]
    for n, name in enumerate(names, 1):
        position = f"1°4{n % 10}'12,5\" LS 116°0{n % 10}'30\" BT"
        rows.append(["Kab. Pasir", "Kuaro", name, 4700000 + n, "Telkom", "fiber", "20 Mbps", host(7, n), position])
    rows[4][7] = rows[8][7] = host(7, 200)
    rows[8][5] = "satelit"
    rows[10][7] = "203.0.99.1"  # registered for a village of Kutai Kartanegara
    return DistrictSheet(
        "Diskominfo Paser",
        "the district's former name, degrees in one cell, SID as numbers, an address used twice and one in use already",
        book(("Sheet1", rows, ())),
        len(names),
        {
            "5": {"host": "duplicate_address"},
            "9": {"host": "duplicate_address", "technology": "enum"},
            "11": {"host": "duplicate_address"},
        },
        {"icmp": len(names) - 3},
        {"assumed_probe"},
    )


def samarinda() -> DistrictSheet:
    names = villages("64.72.05")
    header = ["No.", "Kota", "Kecamatan", "Kelurahan", "Lokasi", "Alamat", "Nama Provider", "Jenis Jaringan", "Speed"]
    header += ["IP WAN", "Contact Person", "No. WA", "No Kontrak", "Tgl Kontrak"]
    rows: list[list[Any]] = [[], header]
    places = ("Kantor Kelurahan", "SDN 003", "Puskesmas", "Masjid Al-Hidayah", "SMPN 5 Samarinda", "Balai RT 12")
    for n, name in enumerate(names, 1):
        place = places[n % len(places)]
        rows.append([f"{n}.", "Samarinda", "Smd. Utara" if n == 2 else "SAMARINDA UTARA", name, f"{place} {name}"])
        rows[-1] += [f"Jl. Poros RT {n}", "Iconnet", "FTTH", 30, host(8, n), "Pak Joko", f"62812000{n}"]
        rows[-1] += [CONTRACT["number"], "5 Januari 2026"]
    return DistrictSheet(
        "Diskominfo Samarinda",
        "places by their own names, one of no known kind, a kecamatan abbreviated as nobody does, contract and start",
        book(("Data", rows, ())),
        len(names),
        {"4": {"subdistrict": "unknown_subdistrict"}, "5": {"venue": "enum"}},
        {"icmp": len(names) - 2},
    )


def balikpapan() -> DistrictSheet:
    names = villages("64.71.06")
    header = ["No", "Nama Kelurahan", "ISP", "Jenis Koneksi", "BW (Mbps)", "IP Public", "Tgl Pasang"]
    rows: list[list[Any]] = [["KOTA BALIKPAPAN"], ["KECAMATAN", ":", "BALIKPAPAN KOTA"], header]
    for n, name in enumerate(names, 1):
        if n == 4:
            rows += [[None], ["Halaman 2"], header]
        technology, ip = ("satelit", "-") if n == 5 else ("4G/LTE", "10.20.30.4") if n == 2 else ("FO", host(9, n))
        rows.append([n, name, "Telkom", technology, 100, ip, datetime(2026, 1, n)])  # noqa: DTZ001  # as workbooks have it
    return DistrictSheet(
        "Bagian Pemerintahan Balikpapan",
        "kecamatan in a title, the header again on each page, a modem's private address, satelit without which one",
        book(("Sheet1", rows, ())),
        len(names),
        {"11": {"technology": "enum"}},
        {"icmp": 3, "push": 1},
        {"assumed_probe", "unknown_column"},
    )


def province() -> DistrictSheet:
    places = (
        ("Kota Bontang", "Bontang Barat", "Kel. Belimbing"),
        ("Bontang", "Bontang Barat", "Gn. Telihan"),
        ("Kukar", "Sanga-Sanga", "Sanga2 Dalam"),
        ("Kab. Kukar", "Sangasanga", "Sanga Sanga Muara"),
        ("Kutai Kartanegara", "Kota Bangun Darat", "Kota Bangun 3"),
        ("KUKAR", "Anggana", "Sei. Meriam"),
        ("Kukar", "Tabang", "Kampung Baru"),
        ("Kukar", None, "Kampung Baru"),
        ("PPU", "Waru", "Api Api"),
        ("Kubar", "Melak", "Ma. Bunyut"),
        ("Mahulu", "Lg. Pahangai", "Long Pahangai II"),
        ("Berau", "Tg. Redeb", None),
        ("Banjarmasin", None, "Kelayan"),
    )
    header = ["NO", "KAB / KOTA", "KECAMATAN", "DESA / KELURAHAN", "ISP", "JENIS KONEKSI", "IP ADDRESS", "NO. HP PIC"]
    rows: list[list[Any]] = [["DAFTAR TITIK AKSES INTERNET DESA PROVINSI KALIMANTAN TIMUR"], [], header]
    for n, (district, subdistrict, village) in enumerate(places, 1):
        rows.append([n, district, subdistrict, village, "Astinet Telkom", "Fiber", host(10, n), "0811"])
    return DistrictSheet(
        "Diskominfo Provinsi",
        "all districts by their short names, abbreviations, hyphens, numerals; a name of two villages; none at all",
        book(("2026", rows, ("A1:H1",))),
        len(places),
        {
            "11": {"village_code": "ambiguous_village"},
            "15": {"village_code": "missing"},
            "16": {"district": "unknown_district"},
        },
        {"icmp": len(places) - 3},
    )


OFFICES: Sequence[Callable[[], DistrictSheet]] = (
    kutai_kartanegara,
    kutai_timur,
    penajam_paser_utara,
    kutai_barat,
    mahakam_ulu,
    berau,
    paser,
    samarinda,
    balikpapan,
    province,
)


def all_sheets() -> Iterator[DistrictSheet]:
    return (office() for office in OFFICES)
