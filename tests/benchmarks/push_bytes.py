"""What pushing costs a village in a month: bytes at the interface of its device, with TLS through nginx, by curl.

KEY=ecdsa|rsa python -m tests.benchmarks.push_bytes. Needs root, curl, nginx and iproute2. Device and service are in a
network namespace each, connected by a link; headers of Ethernet are left out. The chain of certificates has the size of
Let's Encrypt's; its client asks for ECDSA by default.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.postgres.embedded import Cluster
from app.push.dedupe import OVERHEAD_BYTES
from app.settings import ROOT
from simulator.namespace import Namespace
from tests.conftest import make_database
from tests.push.fleet import fill
from tests.support.demo_process import wait_for
from tests.support.nginx import MAIN, NGINX, example_config

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PUSHES, ETHERNET, MONTH_S, LIMIT_PCT = 40, 14, 30 * 86_400, 10.0
CADENCES = {60: 1, 300: 5}  # by send_every_s: rows of a push
SERVICE, DEVICE, NAME, INGEST = "10.99.0.1", "10.99.0.2", "sinyal.example.go.id", 8001
ROW = (
    '{"boot":"3f9c2a71","seq":%d,"uptime_s":%.2f,"sent":3,"rtt_ms":[21.3,22.0,21.8],"lan":1,"terminal":1,"carrier":1,'
    '"clock":"2026-11-24T06:00:00Z"}'
)
BODY = (
    '{"agent":"openwrt/2","boot":"3f9c2a71","uptime_s":%.2f,"waiting":0,"dropped":0,"sent_at":"2026-11-24T06:00:00Z",'
    '"epochs":{"3f9c2a71":1795413902.4},"rx_bps":120400,"tx_bps":22100,"clients":14,"batch":[%s]}'
)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as parent:
        folder = Path(parent)
        folder.chmod(0o755)  # nginx' own processes read in it
        cluster = Cluster(folder / "data")
        cluster.start()
        try:
            url = asyncio.run(make_database(cluster.url))
            tokens = asyncio.run(fill(url, len(CADENCES)))
            with Namespace.open() as service, Namespace.open() as device:
                _connect(service, device)
                with _serving(service, url, folder):
                    cadences = zip(tokens, CADENCES.items(), strict=True)
                    failed = [_measure(device, folder, token, *cadence) for token, cadence in cadences]
        finally:
            cluster.stop()
    if any(failed):
        raise SystemExit("MISSED  what is counted differs from what is sent")


def _measure(device: Namespace, folder: Path, token: str, send_every_s: int, rows: int) -> bool:
    """Return whether what the service counts differs from what was sent by more than the limit."""
    _push(device, folder, token, 0, rows)  # the first one resolves addresses of the link
    before, body = _carried(device), 0
    for number in range(1, PUSHES + 1):
        body += _push(device, folder, token, number, rows)
    time.sleep(0.5)  # connections are closed
    size, packets = (after - was for after, was in zip(_carried(device), before, strict=True))
    each = (size - ETHERNET * packets) / PUSHES
    counted = body / PUSHES + OVERHEAD_BYTES
    month_mb = each * MONTH_S / send_every_s / 1e6
    print(
        f"each {send_every_s} s: {each:,.0f} bytes a push in {packets / PUSHES:.0f} packets, "
        f"{body / PUSHES:,.0f} of them body; {month_mb:,.0f} MB a month; counted {counted:,.0f}",
        flush=True,
    )
    return abs(counted / each - 1) * 100 > LIMIT_PCT


def _push(device: Namespace, folder: Path, token: str, number: int, rows: int) -> int:
    """Send as our scripts do, by a process and so a connection each; return the size of the body."""
    seqs = range(number * rows, (number + 1) * rows)
    body = BODY % (60.0 * seqs[-1] + 30, ",".join(ROW % (seq, 60.0 * seq) for seq in seqs))
    file, config = folder / "push.json", folder / "curl"
    file.write_text(body)
    config.write_text(f'header = "Authorization: Bearer {token}"\n')
    curl = ["curl", "-sS", "-K", str(config), "-m", "45", "-o", str(folder / "answer"), "-w", "%{http_code}"]
    curl += ["--cacert", str(folder / "root.pem"), "--resolve", f"{NAME}:443:{SERVICE}"]
    curl += ["--header", "Content-Type: application/json", "--data-binary", f"@{file}", f"https://{NAME}/api/v1/push"]
    status = _run(device, *curl)
    assert status == "200", (status, (folder / "answer").read_text())
    return len(body)


def _carried(device: Namespace) -> tuple[int, int]:
    """Return the bytes and packets that passed the device's interface, both ways."""
    [interface] = json.loads(_run(device, "ip", "-s", "-j", "link", "show", "eth0"))
    received, sent = interface["stats64"]["rx"], interface["stats64"]["tx"]
    return received["bytes"] + sent["bytes"], received["packets"] + sent["packets"]


def _run(namespace: Namespace, *argv: str) -> str:
    return subprocess.run(namespace.command(argv), check=True, capture_output=True, text=True, env=os.environ).stdout


def _connect(service: Namespace, device: Namespace) -> None:
    """One packet a segment, as a real link carries them."""
    _run(service, "ip", "link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns", str(device.pid))
    for namespace, name, address in ((service, "up0", SERVICE), (device, "eth0", DEVICE)):
        _run(namespace, "ip", "address", "add", f"{address}/24", "dev", name)
        _run(namespace, "ip", "link", "set", name, "gso_max_segs", "1", "up")


@contextmanager
def _serving(service: Namespace, url: str, folder: Path) -> Iterator[None]:
    """Run ingest, and nginx with our example in front of it."""
    _certify(folder)
    example = example_config()
    for ours, theirs in (
        ("/etc/ssl/sinyal/", f"{folder}/"),
        ("/var/log/nginx/", f"{folder}/"),
        ("server 127.0.0.1:8001;", f"server 127.0.0.1:{INGEST};"),
    ):
        assert ours in example
        example = example.replace(ours, theirs)
    config = folder / "nginx.conf"
    config.write_text("user root;\n" + MAIN.format(folder=folder, example=example))
    environment = os.environ | {"SINYAL_DATABASE_URL": url, "SINYAL_DATA_DIR": str(folder / "ingest")}
    ingest = [sys.executable, "-m", "app.cli", "ingest", "--supervised", "--port", str(INGEST)]
    assert NGINX is not None
    with (folder / "log").open("w") as log:
        processes = [
            subprocess.Popen(
                service.command(argv), cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log
            )
            for argv in (ingest, [NGINX, "-p", str(folder), "-c", str(config)])
        ]
        try:
            wait_for(lambda: _answers(service), 60, every_s=0.5)
            yield
        finally:
            for process in processes:
                process.terminate()
                process.wait(20)
                assert process.stdin is not None
                process.stdin.close()


def _answers(service: Namespace) -> bool:
    command = service.command(["curl", "-fsS", "-o", "/dev/null", f"http://127.0.0.1:{INGEST}/healthz"])
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _certify(folder: Path) -> None:
    """Write a root, and a leaf below an intermediate."""
    root_key, middle_key, leaf_key = (_private_key() for _ in range(3))
    root = _certificate("Example Root X1", root_key, "Example Root X1", root_key)
    middle = _certificate("R10", middle_key, "Example Root X1", root_key)
    leaf = _certificate(NAME, leaf_key, "R10", middle_key, is_leaf=True)
    pem = serialization.Encoding.PEM
    (folder / "root.pem").write_bytes(root.public_bytes(pem))
    (folder / "fullchain.pem").write_bytes(leaf.public_bytes(pem) + middle.public_bytes(pem))
    key = leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "privkey.pem").write_bytes(key)


def _private_key() -> PrivateKey:
    if os.environ.get("KEY") == "rsa":
        return rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def _certificate(
    subject: str, key: PrivateKey, issuer: str, issuer_key: PrivateKey, *, is_leaf: bool = False
) -> x509.Certificate:
    def name(common: str) -> x509.Name:
        words: Sequence[tuple[x509.ObjectIdentifier, str]] = (
            (x509.NameOID.COUNTRY_NAME, "US"),
            (x509.NameOID.ORGANIZATION_NAME, "Let's Encrypt"),
            (x509.NameOID.COMMON_NAME, common),
        )
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in words])

    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.BasicConstraints(ca=not is_leaf, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if is_leaf:
        names = x509.SubjectAlternativeName([x509.DNSName(NAME)])
        # where a public authority's signed timestamps are, of the same size
        stamps = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2"), os.urandom(244))
        builder = builder.add_extension(names, critical=False).add_extension(stamps, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


if __name__ == "__main__":
    main()
