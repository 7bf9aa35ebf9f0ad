"""What the paper of a certificate says, in Bahasa Indonesia. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.availability.percent import percent
from app.availability.tally import KINDS
from app.certificates.figure_schemas import CertificateTest, LineFigures
from app.certificates.schemas import CertificateData
from app.core.i18n import write_moment
from app.documents.figures import NOTHING, bounds, grouped, hours, share, target
from app.pages.formats import clock, moment, number
from app.pages.report_words import REPORT_WORDS
from app.registry.indonesian import TECHNOLOGIES
from app.throughput.columns import MODES, STATUSES

RESULTS, PARTS = REPORT_WORDS["certificate_result"], REPORT_WORDS["certified_part"]
STATES = {
    "up": "Normal",
    "degraded": "Menurun",
    "down": "Putus",
    "unreachable": "Induk putus",
    "unknown": "Tidak diketahui (tidak terukur oleh kami)",
    "maintenance": "Pemeliharaan",
    "inactive": "Di luar masa layanan",
}
REASONS = {  # of speed tests; what is not here is technical
    "not_up": "saluran tidak normal",
    "maintenance": "pemeliharaan",
    "not_active": "di luar masa layanan",
    "over_budget": "jatah data",
    "parent_busy": "menara sedang diuji",
    "provider_busy": "gerbang penyedia sedang diuji",
    "too_soon": "terlalu dekat dengan uji sebelumnya",
    "agent_not_due": "perangkat belum waktunya mengirim",
    "not_taken": "tidak dijalankan perangkat",
    "link_in_use": "sambungan sedang dipakai",
    "deferred": "ditunda, sambungan sedang dipakai",
    "agent_cannot": "perangkat tidak dapat menguji",
    "stopped": "pemantauan terhenti",
    "cut_off": "terputus",
    "stalled": "macet",
    "no_answer": "tidak dijawab",
    "buffered": "tertampung di perantara",
    "not_reported": "tidak dilaporkan perangkat",
    "too_short": "terlalu singkat",
    "too_little": "terlalu sedikit data",
    "still_rising": "laju belum tetap",
}
DAY_S = 86_400
CHECKING = (
    "Di dalam PDF ini terlampir hours.csv, tests.csv dan certificate.json. Hash data di kaki setiap halaman adalah "
    "SHA-256 atas daftar SHA-256 ketiga berkas itu sebagaimana ditulis sha256sum, menurut nama berkas: "
    "sha256sum certificate.json hours.csv tests.csv | sha256sum",
)


@dataclass(frozen=True, slots=True)
class CertificateHeading:
    """What the paper says of itself, beside its data set."""

    number: str
    sha256: str
    verify_code: str
    verify_url: str | None  # None: the service does not know under which address it is reached


def paper_values(data: CertificateData, heading: CertificateHeading) -> dict[str, Any]:
    site, total = data.site, data.total
    simulated = ["Angka ini berasal dari pengukuran simulasi: tidak berlaku."] if data.simulated else []
    return {
        "title": "Sertifikat Pengukuran Saluran",
        "subtitles": [f"Nomor {heading.number}", f"{site.name}, {site.district}", _period(data)],
        "author": "Sinyal Desa",
        "description": f"{heading.number}: {site.code}, {_period(data)}",
        "keywords": [heading.number, site.code],
        "watermark": "SIMULASI" if data.simulated else None,
        "verify_code": heading.verify_code,
        "verify_url": heading.verify_url,
        "footer": {
            "number": heading.number,
            "sha256": heading.sha256,
            "method": f"Metode {data.method.version} menurut {data.method.based_on}. Dihasilkan ulang dari data yang "
            "sama, angkanya sama.",
            "mark": "Data simulasi: tidak berlaku" if data.simulated else "",
        },
        "warnings": simulated,
        "facts": list(_facts(data)),
        "parts": [_part(data, name) for name in PARTS],
        "parts_note": _parts_note(data),
        "seconds": list(_seconds(total)),
        "measured": _measured(data),
        "hours_note": f"Batas latensi: {data.method.limit_ms} ms. Yang hilang terhitung di luar batas; persentil hanya "
        "dari paket yang terjawab, tepat hingga 2%.",
        "hours": [*(_hour(hour, clock(hour.from_, "id")) for hour in data.hours), _hour(total, "24 jam", is_sum=True)],
        "tests_note": "Setiap uji yang dijadwalkan dalam 24 jam itu, juga yang dilewati; * di luar rencana bulan itu."
        if data.tests
        else "Tidak ada uji kecepatan yang dijadwalkan dalam 24 jam itu.",
        "tests": [_test(test) for test in data.tests],
        "checking": [*CHECKING, *_checked_at(heading)],
        "statements": list(_statements(data)),
    }


def _period(data: CertificateData) -> str:
    return f"{moment(data.total.from_, 'id')} sampai {moment(data.total.to, 'id')}"


def _facts(data: CertificateData) -> Iterator[tuple[str, str]]:
    site, contract = data.site, data.contract
    yield "Titik akses", f"{site.name} ({site.code})"
    yield "Lokasi", f"{site.village}, Kecamatan {site.subdistrict}, {site.district}"
    yield "Penyedia", site.provider_name
    if site.service_no:
        yield "Nomor layanan (SID)", site.service_no
    yield "Teknologi", TECHNOLOGIES[site.technology]
    yield "Kontrak", "tidak ada satu kontrak yang berlaku" if contract is None else contract.contract.number
    if contract is not None:
        yield "Target ketersediaan", target(contract.target_pct)
    yield "Kecepatan kontrak", f"unduh {_mbps(data.download.contract_mbps)}, unggah {_mbps(data.upload.contract_mbps)}"
    yield "Masa", f"{_period(data)}, {grouped(DAY_S)} detik"
    asked = "sebelum" if data.asked.beforehand else "sesudah"
    yield "Diminta", f"{write_moment(data.asked.at)}, {asked} 24 jam itu dimulai"
    yield "Sertifikat lain", f"{data.others_30_days or 'tidak ada'} dalam 30 hari sebelumnya untuk titik akses ini"
    if data.follows is not None:
        results = ", ".join(f"{word} {RESULTS[data.follows.results[name]]}" for name, word in PARTS.items())
        yield "Mengulangi", f"{data.follows.number}, {moment(data.follows.from_, 'id')}: {results}"


def _mbps(rate: float | None) -> str:
    return "tidak disebut" if rate is None else f"{number(rate, 'id', 1)} Mbps"


def _part(data: CertificateData, name: str) -> dict[str, Any]:
    part = getattr(data, name)
    return {
        "name": PARTS[name].capitalize(),
        "result": part.result.value,
        "said": RESULTS[part.result],
        "reason": part.reason.id,
    }


def _parts_note(data: CertificateData) -> str:
    method = data.method
    return (
        "Ketersediaan: menurut ketentuan kontrak, seandainya 24 jam ini seluruh masanya; target sebulan dinilai dalam "
        f"berita acara. Latensi: {method.looks_pct}% pengukuran dalam {method.limit_ms} ms, sekurang-kurangnya "
        f"{method.least_looks} pengukuran. Kecepatan: {method.tests_pct}% uji mencapai {method.speed_of_contract_pct}% "
        f"kontrak, sekurang-kurangnya {method.least_tests} uji. Di bawah {method.least_coverage_pct}% data terpantau "
        "tidak ada yang dapat dibuktikan."
    )


def _seconds(total: LineFigures) -> Iterator[dict[str, Any]]:
    for kind, label in STATES.items():
        yield _row(label, getattr(total.seconds, kind))
    yield _row("Seluruhnya", sum(getattr(total.seconds, kind) for kind in KINDS), is_sum=True)
    if total.seconds.claimed:
        yield _row("di antaranya menurut keterangan perangkat saja", total.seconds.claimed)


def _row(label: str, seconds: int, *, is_sum: bool = False) -> dict[str, Any]:
    part = share(percent(seconds, DAY_S))
    return {"label": label, "seconds": grouped(seconds), "hours": hours(seconds), "share": part, "is_sum": is_sum}


def _measured(data: CertificateData) -> list[tuple[str, str]]:
    total = data.total
    uptime = f"{share(total.uptime_pct)} (batas {bounds(total.worst_pct, total.best_pct) or share(total.worst_pct)})"
    return [
        ("Data terpantau", share(total.coverage_pct)),
        ("Waktu terlayani", uptime),
        ("Putus layanan", f"{total.outages} kali, terlama {hours(total.longest_outage_s)}"),
        ("Dalam batas latensi", f"{grouped(total.within)} dari {grouped(total.looks)} pengukuran"),
        ("Latensi", f"median {_ms(total.p50_ms)} ms, persentil 95 {_ms(total.p95_ms)} ms"),
        ("Paket hilang", share(total.loss_pct)),
        ("Uji unduh", _tests(data.download.share.passed, data.download.share.counted, data.download.share.contested)),
        ("Uji unggah", _tests(data.upload.share.passed, data.upload.share.counted, data.upload.share.contested)),
    ]


def _tests(passed: int, counted: int, contested: int) -> str:
    return f"{passed} dari {counted} uji cukup cepat, {contested} lagi berjalan tanpa hasil"


def _hour(figures: LineFigures, label: str, *, is_sum: bool = False) -> dict[str, Any]:
    return {
        "label": label,
        "is_sum": is_sum,
        "seconds": [grouped(getattr(figures.seconds, kind)) for kind in KINDS],
        "uptime": share(figures.uptime_pct),
        "bounds": bounds(figures.worst_pct, figures.best_pct),
        "looks": "dikecualikan" if figures.left_out and not figures.looks else f"{figures.within} / {figures.looks}",
        "lost": grouped(figures.lost),
        "within": share(figures.within_pct),
        "loss": share(figures.loss_pct),
        "p50": _ms(figures.p50_ms),
        "p95": _ms(figures.p95_ms),
        "most": _ms(figures.max_ms),
    }


def _ms(value: float | None) -> str:
    return number(value, "id", 1)


def _test(test: CertificateTest) -> dict[str, Any]:
    status = STATUSES[test.status] + (f": {REASONS.get(test.reason, test.reason)}" if test.reason else "")
    return {
        "planned": clock(test.planned_at, "id", seconds=True),
        "started": clock(test.started_at, "id", seconds=True) if test.started_at else NOTHING,
        "mode": MODES[test.mode] + (" *" if test.for_certificate else ""),
        "status": status,
        "down": number(test.down_mbps, "id", 3),
        "up": number(test.up_mbps, "id", 3),
        "contract_down": number(test.contract_down_mbps, "id", 1),
        "contract_up": number(test.contract_up_mbps, "id", 1),
    }


def _checked_at(heading: CertificateHeading) -> list[str]:
    if heading.verify_url is None:
        return [f"Dokumen ini dapat diperiksa di halaman /verifikasi layanan ini, dengan kode {heading.verify_code}."]
    return [f"Dokumen ini dapat diperiksa di {heading.verify_url}, atau dengan memindai kode QR di halaman pertama."]


def _statements(data: CertificateData) -> Iterator[str]:
    yield "Detik menurut status berjumlah tepat lama setiap jam; yang tidak terukur tidak dianggap baik maupun buruk."
    yield f"Dibekukan {write_moment(data.as_of)}; status sampai {write_moment(data.settled_until)} sudah tetap."
    if not data.asked.beforehand:
        yield "Jamnya dipilih sesudah hasilnya dapat diketahui."
    yield "Diukur dari satu pusat: latensi mencakup jalan dari sana ke penyedia, dan tidak ada kecepatan di atasnya."
