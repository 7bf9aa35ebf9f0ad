"""The columns of a site table, with headers and meanings: for import, template, export and data dictionary."""

from dataclasses import dataclass

from app.core.pii import PERSONAL


@dataclass(frozen=True, slots=True)
class SheetColumn:
    field: str  # name in the API
    indonesian: str  # header in the template
    meaning: str
    arti: str  # meaning in Bahasa Indonesia
    unit: str | None = None
    reference: str | None = None  # source of the values
    aliases: tuple[str, ...] = ()  # further headers, compared folded

    @property
    def personal(self) -> bool:
        return self.field in PERSONAL


REGION_NAMES = (
    SheetColumn(
        "village",
        "Desa/Kelurahan",
        "the village's name",
        "nama desa atau kelurahan",
        aliases=(
            *("desa", "kelurahan", "nama desa", "nama kelurahan", "nama desa/kelurahan", "village name", "desa/kel"),
            *("kel/desa", "kelurahan/desa", "nama desa/kel", "nama kel/desa", "nama kelurahan/desa", "nama kampung"),
            *("kampung", "desa/kampung", "kampung/desa", "lokasi desa", "lokasi desa/kelurahan"),
        ),
    ),
    SheetColumn(
        "subdistrict",
        "Kecamatan",
        "the subdistrict's name",
        "nama kecamatan",
        aliases=("nama kecamatan", "kec", "nama kec", "lokasi kecamatan"),
    ),
    SheetColumn(
        "district",
        "Kabupaten/Kota",
        "the district's name",
        "nama kabupaten atau kota",
        aliases=(
            *("kabupaten", "kota", "kab/kota", "nama kabupaten", "kab", "nama kab/kota", "nama kabupaten/kota"),
            *("kota/kabupaten", "kota/kab", "lokasi kabupaten"),
        ),
    ),
)
KEMENDAGRI = "Kemendagri region codes (config/regions/PROVENANCE.md)"
WGS84 = "WGS 84 (EPSG:4326)"

SITE_COLUMNS = (
    SheetColumn(
        "code",
        "Kode titik akses",
        "the site's code, assigned at registration; never changes",
        "kode titik akses, diberikan saat pendaftaran; tidak pernah berubah",
        aliases=("site code", "kode lokasi", "kode titik", "kode site"),
    ),
    SheetColumn(
        "village_code",
        "Kode desa/kelurahan",
        "the village's region code, with dots",
        "kode wilayah desa atau kelurahan, dengan titik",
        reference=KEMENDAGRI,
        aliases=("kode wilayah", "kode desa", "kode kelurahan", "kode kemendagri", "region code"),
    ),
    SheetColumn(
        "name",
        "Nama titik akses",
        "the site's name; the village's name if empty",
        "nama titik akses; nama desa bila tidak diisi",
        aliases=("nama", "nama lokasi", "site name"),
    ),
    SheetColumn(
        "kind",
        "Jenis",
        "access point, or node (a tower, POP or gateway that other sites depend on)",
        "titik akses atau simpul (menara, POP, gerbang)",
        aliases=("jenis titik", "tipe"),
    ),
    SheetColumn(
        "technology",
        "Teknologi",
        "fiber, radio, cellular, leo or geo",
        "serat optik, radio, seluler, satelit orbit rendah, atau satelit GEO (VSAT)",
        aliases=(
            *("media", "jenis koneksi", "jenis layanan", "akses", "media akses", "jenis akses", "tipe koneksi"),
            *("koneksi", "media koneksi", "jenis media", "media transmisi", "jenis jaringan", "teknologi akses"),
            "jenis teknologi",
        ),
    ),
    SheetColumn(
        "provider",
        "Penyedia",
        "the provider's slug or name",
        "penyedia jasa internet",
        aliases=(
            *("provider", "isp", "penyedia jasa", "penyedia layanan", "operator", "nama isp", "nama provider"),
            *("nama penyedia", "provider isp", "isp provider", "penyedia internet", "penyedia jasa internet"),
        ),
    ),
    SheetColumn(
        "service_no",
        "Nomor layanan (SID)",
        "the provider's number for this service",
        "nomor layanan di penyedia",
        aliases=(
            *("sid", "nomor layanan", "no layanan", "nomor internet", "no internet", "no sid", "cid", "circuit id"),
            *("id pelanggan", "no pelanggan", "nomor pelanggan", "service id"),
        ),
    ),
    SheetColumn("link_role", "Peran jalur", "primary or backup", "utama atau cadangan", aliases=("jalur", "peran")),
    SheetColumn(
        "venue",
        "Tempat pemasangan",
        "where the equipment is installed",
        "tempat perangkat dipasang",
        aliases=(
            *("tempat", "lokasi pemasangan", "lokasi", "tempat pasang", "jenis tempat", "jenis lokasi"),
            *("titik pemasangan", "lokasi tempat"),
        ),
    ),
    SheetColumn(
        "location_note",
        "Alamat lokasi",
        "how to find the site",
        "cara menemukan lokasinya",
        aliases=("alamat", "address", "keterangan lokasi", "alamat lengkap", "alamat pemasangan"),
    ),
    SheetColumn(
        "latitude",
        "Lintang",
        "latitude of the equipment",
        "garis lintang perangkat",
        unit="degree",
        reference=WGS84,
        aliases=(
            *("latitude", "lat", "garis lintang", "ls", "lintang selatan", "koordinat lintang", "koordinat lat"),
            *("koordinat latitude", "koordinat ls"),
        ),
    ),
    SheetColumn(
        "longitude",
        "Bujur",
        "longitude of the equipment",
        "garis bujur perangkat",
        unit="degree",
        reference=WGS84,
        aliases=(
            *("longitude", "lon", "long", "lng", "garis bujur", "bt", "bujur timur", "koordinat bujur"),
            *("koordinat long", "koordinat longitude", "koordinat bt"),
        ),
    ),
    SheetColumn(
        "probe",
        "Cara ukur",
        "icmp, tcp, http or push",
        "icmp, tcp, http, atau push (laporan mandiri)",
        aliases=("metode ukur", "pengukuran", "metode"),
    ),
    SheetColumn(
        "host",
        "Alamat IP atau host",
        "IP address or DNS name that is probed",
        "alamat IP atau nama DNS yang diukur",
        aliases=(
            *("ip", "ip/host", "ip address", "alamat ip", "host", "ip publik", "ip public", "public ip"),
            *("ip address publik", "ip address public", "alamat ip publik", "ip publik statis", "ip wan", "wan ip"),
        ),
    ),
    SheetColumn(
        "host_static",
        "IP tetap",
        "whether the IP address is static",
        "apakah alamat IP titik akses ini tetap",
        aliases=("ip statis", "static ip", "ip static"),
    ),
    SheetColumn("port", "Port", "TCP port for probe tcp", "port TCP untuk cara ukur tcp"),
    SheetColumn("url", "URL", "page requested by probe http", "halaman untuk cara ukur http"),
    SheetColumn(
        "speed_url",
        "URL uji kecepatan",
        "file downloaded to measure throughput",
        "berkas yang diunduh untuk mengukur kecepatan",
    ),
    SheetColumn(
        "speed_budget_mb",
        "Kuota uji kecepatan (MB per bulan)",
        "data that speed tests may use in a month",
        "jatah data untuk uji kecepatan dalam sebulan",
        unit="MB",
    ),
    SheetColumn(
        "bandwidth_down_mbps",
        "Kecepatan unduh kontrak (Mbps)",
        "contracted download speed",
        "kecepatan unduh kontrak",
        unit="Mbps",
        aliases=(
            *("bandwidth", "kecepatan", "unduh", "download", "bandwidth mbps", "kecepatan mbps", "bw", "bw mbps"),
            *("kapasitas", "kapasitas mbps", "speed", "down", "downlink", "kecepatan unduh", "bandwidth unduh"),
            *("bandwidth download", "bandwidth down", "kecepatan download", "kecepatan internet", "bw down"),
        ),
    ),
    SheetColumn(
        "bandwidth_up_mbps",
        "Kecepatan unggah kontrak (Mbps)",
        "contracted upload speed",
        "kecepatan unggah kontrak",
        unit="Mbps",
        aliases=(
            *("unggah", "upload", "up", "uplink", "kecepatan unggah", "bandwidth unggah", "bandwidth upload"),
            *("bandwidth up", "kecepatan upload", "bw up"),
        ),
    ),
    SheetColumn("ssid", "SSID", "the wireless network's name", "nama jaringan nirkabel", aliases=("nama wifi", "wifi")),
    SheetColumn(
        "public_hours",
        "Jam layanan publik",
        "hours in which the public may use it",
        "jam masyarakat dapat memakainya",
        aliases=("jam layanan", "jam buka"),
    ),
    SheetColumn(
        "presence",
        "Kehadiran perangkat",
        "always or sometimes: whether the device that reports is to be on day and night",
        "selalu atau kadang-kadang: apakah perangkat yang melapor harus menyala siang malam",
        aliases=("kehadiran", "presence"),
    ),
    SheetColumn(
        "vantages",
        "Titik pantau",
        "names or numbers of the places that look at the site, its primary first, like central; telkom",
        "nama atau nomor titik pantau yang mengukurnya, yang utama di depan, misalnya pusat; telkom",
        aliases=("vantages", "vantage", "titik pengukuran"),
    ),
    SheetColumn(
        "power_source",
        "Sumber listrik",
        "pln, pln_limited, genset, solar or none",
        "PLN, PLN terbatas, genset, surya, atau tidak ada",
        aliases=("listrik", "sumber daya"),
    ),
    SheetColumn("power_hours", "Jam listrik", "hours with power", "jam listrik menyala"),
    SheetColumn(
        "parent",
        "Simpul induk",
        "code of the node that the site depends on",
        "kode simpul induk titik akses ini",
        aliases=("induk", "parent", "parent code", "kode induk"),
    ),
    SheetColumn(
        "contract",
        "Nomor kontrak",
        "number of the contract that covers the site",
        "nomor kontrak yang mencakup titik akses ini",
        aliases=("kontrak", "no kontrak", "contract number", "kontrak nomor", "no kontrak spk", "nomor kontrak spk"),
    ),
    SheetColumn(
        "contract_from",
        "Mulai kontrak",
        "the day from which the contract covers the site; today if empty",
        "hari kontrak mulai mencakup titik akses ini; hari ini bila tidak diisi",
        aliases=(
            *("tanggal mulai kontrak", "tmt kontrak", "awal kontrak", "contract start", "tgl kontrak"),
            *("tgl mulai kontrak", "tanggal kontrak", "kontrak mulai", "kontrak mulai tanggal"),
        ),
    ),
    SheetColumn(
        "device_model",
        "Perangkat",
        "make and model",
        "merek dan tipe",
        aliases=(
            *("model perangkat", "router", "device", "merk perangkat", "merek perangkat", "tipe perangkat", "merk"),
            *("merek", "merk/tipe"),
        ),
    ),
    SheetColumn(
        "contact_name",
        "Nama kontak",
        "contact person at the site (personal data)",
        "narahubung di lokasi (data pribadi)",
        aliases=(
            *("narahubung", "pic", "nama pic", "kontak", "nama narahubung", "kontak person", "contact person"),
            *("penanggung jawab", "nama penanggung jawab", "cp"),
        ),
    ),
    SheetColumn(
        "contact_phone",
        "Telepon kontak",
        "that person's phone (personal data)",
        "telepon narahubung (data pribadi)",
        aliases=(
            *("telepon", "no hp", "hp", "no telepon", "telepon pic", "nomor hp", "no hp pic", "phone"),
            *("phone number", "nomor hp pic", "hp pic", "pic hp", "no telp", "telp", "nomor telepon", "no telp pic"),
            *("telp pic", "no telepon pic", "no wa", "no wa pic", "nomor wa", "wa", "no hp/wa", "no hp/wa pic"),
            *("no kontak", "no handphone", "handphone", "no hp kontak", "no hp narahubung", "no hp penanggung jawab"),
            "no cp",
        ),
    ),
    SheetColumn("notes", "Catatan", "anything else", "hal lain", aliases=("keterangan", "ket")),
    SheetColumn(
        "lifecycle",
        "Tahap layanan",
        "planned, active, suspended or retired",
        "direncanakan, aktif, dihentikan sementara, atau tidak digunakan lagi",
        aliases=("tahap", "status layanan", "status operasional"),
    ),
)
# An export names the village, too; an import compares these names with the code.
EXPORT_COLUMNS = (*SITE_COLUMNS[:2], *REGION_NAMES, *SITE_COLUMNS[2:])
