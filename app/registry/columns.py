"""The columns of the registry's tables: what districts write above them, what they mean, who may have them.

One list for the import, its template, the export and the data dictionary.
"""

from dataclasses import dataclass

from app.core.pii import PERSONAL


@dataclass(frozen=True, slots=True)
class Column:
    """`aliases` are further headers, compared in lower case without punctuation."""

    field: str  # of the API
    indonesian: str  # the header that the template carries
    meaning: str
    arti: str  # the meaning in Bahasa Indonesia
    unit: str | None = None
    reference: str | None = None  # where the values come from
    aliases: tuple[str, ...] = ()

    @property
    def personal(self) -> bool:
        return self.field in PERSONAL


KEMENDAGRI = "Kemendagri region codes (config/regions/PROVENANCE.md)"
WGS84 = "WGS 84 (EPSG:4326)"

SITE_COLUMNS = (
    Column(
        "code",
        "Kode titik akses",
        "the site's code, given at registration; never changes",
        "kode titik akses, diberikan saat pendaftaran; tidak pernah berubah",
        aliases=("site code", "kode lokasi", "kode titik", "kode site"),
    ),
    Column(
        "village_code",
        "Kode desa/kelurahan",
        "the village's region code, with dots",
        "kode wilayah desa atau kelurahan, dengan titik",
        reference=KEMENDAGRI,
        aliases=("kode wilayah", "kode desa", "kode kelurahan", "kode kemendagri", "region code"),
    ),
    Column(
        "name",
        "Nama titik akses",
        "what the site is called; the village's name where nothing is given",
        "nama titik akses; nama desa bila tidak diisi",
        aliases=("nama", "nama lokasi", "site name"),
    ),
    Column(
        "kind",
        "Jenis",
        "access point, or node (a tower, POP or gateway that sites hang on)",
        "titik akses atau simpul (menara, POP, gerbang)",
        aliases=("jenis titik", "tipe"),
    ),
    Column(
        "technology",
        "Teknologi",
        "fiber, radio, cellular, leo or geo",
        "serat optik, radio, seluler, satelit orbit rendah, atau satelit GEO (VSAT)",
        aliases=("media", "jenis koneksi", "jenis layanan", "akses", "media akses"),
    ),
    Column(
        "provider",
        "Penyedia",
        "the provider's slug, or its name",
        "penyedia jasa internet",
        aliases=("provider", "isp", "penyedia jasa", "penyedia layanan", "operator"),
    ),
    Column(
        "service_no",
        "Nomor layanan (SID)",
        "the provider's number for this service",
        "nomor layanan di penyedia",
        aliases=("sid", "nomor layanan", "no layanan", "nomor internet", "no internet"),
    ),
    Column("link_role", "Peran jalur", "primary or backup", "utama atau cadangan", aliases=("jalur", "peran")),
    Column(
        "venue",
        "Tempat pemasangan",
        "where it is installed",
        "tempat perangkat dipasang",
        aliases=("tempat", "lokasi pemasangan", "lokasi"),
    ),
    Column(
        "location_note",
        "Alamat lokasi",
        "how to find it",
        "cara menemukan lokasinya",
        aliases=("alamat", "address", "keterangan lokasi"),
    ),
    Column(
        "latitude",
        "Lintang",
        "of the equipment",
        "posisi perangkat",
        unit="degree",
        reference=WGS84,
        aliases=("latitude", "lat", "garis lintang", "ls", "lintang selatan"),
    ),
    Column(
        "longitude",
        "Bujur",
        "of the equipment",
        "posisi perangkat",
        unit="degree",
        reference=WGS84,
        aliases=("longitude", "lon", "long", "lng", "garis bujur", "bt", "bujur timur"),
    ),
    Column(
        "probe",
        "Cara ukur",
        "icmp, tcp, http or push",
        "icmp, tcp, http, atau push (laporan mandiri)",
        aliases=("metode ukur", "pengukuran", "metode"),
    ),
    Column(
        "host",
        "Alamat IP atau host",
        "the address or DNS name that is measured",
        "alamat atau nama DNS yang diukur",
        aliases=("ip", "ip/host", "ip address", "alamat ip", "host", "ip publik"),
    ),
    Column(
        "host_static",
        "IP tetap",
        "whether the address is the site's own for good",
        "apakah alamat itu tetap milik titik akses ini",
        aliases=("ip statis", "static ip", "ip static"),
    ),
    Column("port", "Port", "for probe tcp", "untuk cara ukur tcp"),
    Column("url", "URL", "the page that probe http asks for", "halaman untuk cara ukur http"),
    Column("speed_url", "URL uji kecepatan", "what throughput is measured with", "berkas untuk mengukur kecepatan"),
    Column(
        "speed_budget_mb",
        "Kuota uji kecepatan (MB per bulan)",
        "what measuring the speed may cost a month",
        "yang boleh terpakai untuk uji kecepatan dalam sebulan",
        unit="MB",
    ),
    Column(
        "bandwidth_down_mbps",
        "Kecepatan unduh kontrak (Mbps)",
        "contracted download",
        "kecepatan unduh kontrak",
        unit="Mbps",
        aliases=("bandwidth", "kecepatan", "unduh", "download", "bandwidth mbps", "kecepatan mbps"),
    ),
    Column(
        "bandwidth_up_mbps",
        "Kecepatan unggah kontrak (Mbps)",
        "contracted upload",
        "kecepatan unggah kontrak",
        unit="Mbps",
        aliases=("unggah", "upload"),
    ),
    Column("ssid", "SSID", "the wireless network's name", "nama jaringan nirkabel", aliases=("nama wifi", "wifi")),
    Column(
        "public_hours",
        "Jam layanan publik",
        "when the public may use it",
        "kapan masyarakat dapat memakainya",
        aliases=("jam layanan", "jam buka"),
    ),
    Column(
        "power_source",
        "Sumber listrik",
        "pln, pln_limited, genset, solar or none",
        "PLN, PLN terbatas, genset, surya, atau tidak ada",
        aliases=("listrik", "sumber daya"),
    ),
    Column("power_hours", "Jam listrik", "when there is power", "kapan listrik menyala"),
    Column(
        "parent",
        "Simpul induk",
        "the code of the node it hangs on",
        "kode simpul tempat titik akses bergantung",
        aliases=("induk", "parent", "parent code", "kode induk"),
    ),
    Column(
        "contract",
        "Nomor kontrak",
        "the contract that pays for it",
        "kontrak yang membiayai layanan ini",
        aliases=("kontrak", "no kontrak", "contract number"),
    ),
    Column(
        "device_model", "Perangkat", "make and model", "merek dan tipe", aliases=("model perangkat", "router", "device")
    ),
    Column(
        "contact_name",
        "Nama kontak",
        "who to call at the site (personal data)",
        "narahubung di lokasi (data pribadi)",
        aliases=("narahubung", "pic", "nama pic", "kontak"),
    ),
    Column(
        "contact_phone",
        "Telepon kontak",
        "that person's phone (personal data)",
        "telepon narahubung (data pribadi)",
        aliases=("telepon", "no hp", "hp", "no telepon", "telepon pic", "nomor hp"),
    ),
    Column("notes", "Catatan", "anything else", "hal lain", aliases=("keterangan", "ket")),
    Column(
        "lifecycle",
        "Tahap layanan",
        "planned, active, suspended or retired",
        "direncanakan, aktif, dihentikan sementara, atau tidak digunakan lagi",
        aliases=("tahap", "status layanan", "status operasional"),
    ),
)
