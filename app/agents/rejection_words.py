"""Why rows of a device were not accepted, in words of both languages, for whoever stands before it."""

Both = tuple[str, str]  # in Bahasa Indonesia, in English

UNREADABLE: Both = ("isi laporan tidak dapat dibaca: pasang ulang agen", "a report cannot be read: install again")
FIELD: Both = ("ada isian laporan yang salah: pasang ulang agen", "a field of a report is wrong: install again")
WORDS: dict[str, Both] = {
    "no_clock": ("jam perangkat belum diatur (NTP)", "the device's clock is not set (NTP)"),
    "too_old": ("hasil ukur lebih tua dari 7 hari", "readings older than 7 days"),
    "in_future": ("jam perangkat terlalu maju", "the device's clock is ahead"),
    "before_site": ("diukur sebelum titik akses ini memakai agen", "measured before this site had an agent"),
    "internal_error": ("server gagal menyimpan laporan", "the server failed to store a report"),
    "not_active": ("titik akses ini tidak aktif di daftar", "this site is not active in the registry"),
    "json_invalid": UNREADABLE,
    "not_an_object": UNREADABLE,
    "not_a_list": UNREADABLE,
    "missing": ("laporan tidak lengkap: pasang ulang agen", "a report is incomplete: install again"),
    "too_many_answers": ("jawaban lebih banyak daripada paket yang dikirim", "more answers than packets sent"),
    "bad_time": ("waktu di laporan tidak dapat dibaca", "the time in a report cannot be read"),
    "naive_time": ("waktu di laporan tanpa zona waktu", "the time in a report has no offset"),
    "bad_uptime": ("lama menyala perangkat tidak dapat dibaca", "the device's uptime cannot be read"),
}


def in_words(code: str) -> Both:
    """Return the words of a rejection code; of a field that no other words fit, that it is wrong."""
    return WORDS.get(code, FIELD)
