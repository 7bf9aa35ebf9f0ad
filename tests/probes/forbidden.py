"""Where a probe may never go, in every form that somebody might write it. Nothing here is sent to: it is refused."""

from ipaddress import IPv4Address

INSIDE = (
    "127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "0.0.0.0",
    "198.18.0.1",
    "192.0.0.192",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
)
INSIDE6 = (
    "::",
    "::1",
    "fe80::1",
    "febf::1",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "fdff:ffff::1",
    "ff02::1",
    "ff05::2",
    "0:0:0:0:0:0:0:1",
    "0000::0001",
    "FD00:EC2::254",
)


def _carriers(inside: str) -> list[str]:
    """IPv6 forms that lead to the IPv4 address, or may."""
    bits = int(IPv4Address(inside))
    high, low, teredo = bits >> 16, bits & 0xFFFF, bits ^ 0xFFFFFFFF
    return [
        f"::ffff:{inside}",
        f"0:0:0:0:0:ffff:{high:x}:{low:x}",
        f"::{inside}",
        f"64:ff9b::{inside}",
        f"64:ff9b::{high:x}:{low:x}",
        f"64:ff9b:1::{inside}",
        f"2002:{high:x}:{low:x}::",
        f"2002:{high:x}:{low:x}::1",
        f"2001:0:{high:x}:{low:x}:0:ffff:3fff:fdd2",  # Teredo: its server, then its client
        f"2001:0:c000:201:0:ffff:{teredo >> 16:x}:{teredo & 0xFFFF:x}",
    ]


def _disguises(inside: str) -> list[str]:
    """What `inet_aton`, and so many a resolver, takes for the same address."""
    address = IPv4Address(inside)
    bits, (a, b, c, d) = int(address), address.packed
    return [
        f"{bits}",
        f"0x{bits:x}",
        f"0X{bits:08X}",
        f"0{bits:o}",
        f"{a}.{bits & 0xFFFFFF}",
        f"{a}.{b}.{c << 8 | d}",
        f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"0x{a:x}.{b}.0{c:o}.{d}",
    ]


ADDRESSES = list(dict.fromkeys([*INSIDE, *INSIDE6, *(form for inside in INSIDE for form in _carriers(inside))]))
ADDRESSES.remove("::0.0.0.0")  # "::" once more
DISGUISED = [(form, inside) for inside in INSIDE for form in _disguises(inside) if form != inside]

ODD = [
    "127.0.0.1.",
    "127.0.0.1..",
    ".127.0.0.1",
    "127.0.0.1 .",
    "127..1",
    "127.0.0.1/8",
    "127.0.0.1:80",
    "[::1]",
    "[127.0.0.1]",
    "::1%lo",
    "fe80::1%eth0",
    "fe80::1%25lo",
    "::ffff:127.1",
    "::ffff:0x7f000001",
    "::1.",
    "1::2::3",
    "user@127.0.0.1",
    "http://127.0.0.1/",
    "//127.0.0.1",
    "127.0.0.1#a",
    "127.0.0.1?a",
    "127.0.0.1\\a",
    "１２７.０.０.１",
    "127。0。0。1",
    "①②⑦.⓪.⓪.①",
    "127．0．0．1",
    "١٢٧.٠.٠.١",
    "১২৭.০.০.১",
    "127.000.000.001",
    "%31%32%37.0.0.1",
    "127.0.0.1%00.desa.example",
    "-127.0.0.1",
    "+127.0.0.1",
    "127.0.0.1,198.51.100.9",
    "4294967297",
    "0x1_7f000001",
    "127.0.0.0x1",
    "0b1111111.0.0.1",
    "0o177.0.0.1",
]

# Each names a place inside, or is no web address at all; {port} is a listener's.
URLS = [
    "http://127.0.0.1:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://127.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://017700000001:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0:{port}/",
    "http://[::1]:{port}/",
    "http://[::]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::1%25lo]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[fd00:ec2::254]:{port}/latest/meta-data/",
    "http://169.254.169.254:{port}/latest/meta-data/",
    "http://user@127.0.0.1:{port}/",
    "http://user:word@127.0.0.1:{port}/",
    "http://198.51.100.9@127.0.0.1:{port}/",
    "http://198.51.100.9:80@127.0.0.1:{port}/",
    "http://198.51.100.9%40127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@198.51.100.9/",
    "http://127.0.0.1:{port}?@198.51.100.9/",
    "http://198.51.100.9\\@127.0.0.1:{port}/",
    "http://１２７.０.０.１:{port}/",
    "http://127。0。0。1:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://127.0.0.1%00.desa.example:{port}/",
    "http://\u00ad127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "http:/127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}",
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_",
    "file:///etc/passwd",
    "unix:///run/postgresql",
    "data:text/plain,x",
    "http://127.0.0.1:{port}:80/",
    "http://[::1:{port}/",
    "HTTP://127.0.0.1:{port}/",
    "https://127.0.0.1:{port}/",
    "http://10.0.0.1:{port}/",
    "http://0.0.0.0:{port}/",
]

OUTSIDE = "198.51.100.9"
LOCAL_NAMES = [  # refused at registration already, whatever they resolve to
    "LOCALHOST",
    "localhost.",
    "desa.localhost",
    "ip6-localhost",
    "ip6-loopback",
    "router.local",
    "a.b.local.",
    "local",
    "metadata.google.internal",
    "internal",
    "gw.home.arpa",
    "home.arpa",
]
NAMES = (
    {f"inside-{n}.uji.example": [address] for n, address in enumerate((*INSIDE, *INSIDE6[:10]))}
    | {f"carried-{n}.uji.example": [form] for n, form in enumerate(_carriers("127.0.0.1"))}
    | {
        "localhost": ["127.0.0.1"],
        "both.uji.example": ["127.0.0.1", "::1"],
        "many.uji.example": ["10.0.0.1", "192.168.1.1", "169.254.169.254"],
    }
)
REBOUND = {f"rebound-{n}.uji.example": [[OUTSIDE], [address]] for n, address in enumerate(INSIDE)}
REDIRECTS = [
    (status, f"http://{address}:{{port}}/")
    for status in (301, 302, 303, 307, 308)
    for address in ("127.0.0.1", "169.254.169.254", "[::1]", "inside-0.uji.example")
]

COUNT = len([*ADDRESSES, *DISGUISED, *ODD, *URLS, *LOCAL_NAMES, *NAMES, *REBOUND, *REDIRECTS])
