"""Words for the published method: verdicts, results of its parts, and why something was not measured."""

from collections.abc import Mapping

SKIPPED: Mapping[str, str] = {
    "skipped_not_up": "dilewati: titik akses tidak normal",
    "skipped_not_active": "dilewati: di luar masa layanan",
    "skipped_maintenance": "dilewati: pemeliharaan",
    "skipped_over_budget": "dilewati: jatah data habis",
    "skipped_too_soon": "dilewati: belum waktunya",
    "skipped_parent_busy": "ditunda: menara sedang diuji",
    "skipped_provider_busy": "ditunda: jaringan penyedia sedang diuji",
    "skipped_agent_not_due": "dilewati: agen belum waktunya melapor",
    "skipped_agent_cannot": "dilewati: agen tidak dapat menguji",
    "skipped_not_taken": "tidak diambil perangkatnya",
    "skipped_deferred": "ditunda perangkatnya: sambungan sedang dipakai",
    "skipped_stopped": "dihentikan oleh kami",
}
UNFINISHED: Mapping[str, str] = {
    "too_short": "terlalu singkat",
    "too_little": "terlalu sedikit data",
    "still_rising": "kecepatannya masih naik",
    "stalled": "macet",
    "cut_off": "terputus",
    "no_answer": "tanpa jawaban",
    "unreachable": "tidak terjangkau",
    "refused": "ditolak",
    "redirected": "dialihkan",
    "certificate": "sertifikat salah",
    "forbidden": "alamat tidak diizinkan",
    "unresolvable": "nama tidak ditemukan",
    "bad_url": "alamat uji salah",
    "no_http": "bukan HTTP",
    "buffered": "tersimpan di perantara",
    "not_reported": "hasilnya tidak dilaporkan",
    "stopped": "dihentikan oleh kami",
}
COMPLIANCE_WORDS: Mapping[str, Mapping[str, str]] = {
    "compliance_verdict": {
        "complies": "memenuhi",
        "fails": "tidak memenuhi",
        "undetermined": "belum dapat disimpulkan",
    },
    "part_result": {
        "passes": "lulus",
        "fails": "tidak lulus",
        "undetermined": "belum dapat disimpulkan",
        "not_promised": "tidak diperjanjikan",
    },
    "doubt": {
        "too_few": "hasil ukur terlalu sedikit",
        "too_few_sites": "terlalu sedikit titik akses yang terukur",
        "contested": "ditentukan oleh uji tanpa hasil",
        "unknown_time": "ditentukan oleh waktu yang tidak diketahui",
        "no_contract": "tanpa kontrak",
    },
    "method_part": {
        "availability": "ketersediaan",
        "download": "unduh",
        "upload": "unggah",
        "latency": "latensi",
    },
    "attested_reason": {
        "no_contract": "tanpa kontrak",
        "unknown_time": "waktu tidak diketahui",
        "no_contract_speed": "kontrak tidak menyebut kecepatannya",
        "never_planned": "tidak pernah dijadwalkan diuji",
        "one_direction": "hanya satu arah yang diuji",
        "too_few_tests": "uji terlalu sedikit",
        "too_few_looks": "pengukuran terlalu sedikit",
        "left_out": "pengukuran yang tidak dihitung",
        "days_not_counted": "hari yang belum dihitung",
        **SKIPPED,
        **{f"failed_{reason}": f"gagal: {word}" for reason, word in UNFINISHED.items()},
        **{f"invalid_{reason}": f"tidak sah: {word}" for reason, word in UNFINISHED.items()},
    },
}
ENGLISH_COMPLIANCE_WORDS: Mapping[str, Mapping[str, str]] = {
    "doubt": {
        "too_few": "too few were measured",
        "too_few_sites": "too few sites were measured",
        "contested": "tests without a result would decide it",
        "unknown_time": "unknown time would decide it",
    },
    "attested_reason": {
        "unknown_time": "time that is unknown",
        "no_contract_speed": "the contract names no speed",
        "one_direction": "tested in one direction alone",
        "left_out": "looks that do not count",
        "never_planned": "no test was ever planned",
    },
}
