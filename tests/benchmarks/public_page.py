"""The public pages of one API process with 1,038 sites, against a fixed body under the same uvicorn and wrk."""

import asyncio
import shutil
import statistics
import tempfile
from pathlib import Path

import httpx

from app.postgres.embedded import Cluster
from tests.benchmarks.polling import ROUNDS, SITES, fill, load, served
from tests.conftest import make_database
from tests.support.demo_process import free_port

PATHS = ("/", "/kabupaten/64.02", "/desa/64.02.05.2003")
LIMIT = 0.30


def main() -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="sinyal-bench-") as folder:
        cluster = Cluster(Path(folder))
        cluster.start()
        try:
            url = asyncio.run(make_database(cluster.url))
            asyncio.run(fill(url, SITES))
            ours = free_port()
            with served("without_refresh", ours, SINYAL_DATABASE_URL=url):
                for path in PATHS:
                    _compare(f"http://127.0.0.1:{ours}{path}", path, Path(folder))
        finally:
            cluster.stop()


def _compare(page: str, path: str, folder: Path) -> None:
    headers = {"Accept-Encoding": "gzip"}
    with httpx.Client(headers=headers, trust_env=False) as client, client.stream("GET", page) as answer:
        body, etag = b"".join(answer.iter_raw()), answer.headers["etag"]
    file = folder / "body"
    file.write_bytes(body)
    other = free_port()
    with served("fixed_body", other, BENCH_BODY=str(file)):
        best = f"http://127.0.0.1:{other}"
        requests = {
            "304, fixed": (f"{best}/nothing", headers),
            "304": (page, headers | {"If-None-Match": etag}),
            "body, fixed": (f"{best}/whole", headers),
            "body": (page, headers),
        }
        rates: dict[str, list[float]] = {name: [] for name in requests}
        for _ in range(ROUNDS):
            for name, (address, sent) in requests.items():
                rates[name].append(load(address, sent).rate)
    middle = {name: statistics.median(measured) for name, measured in rates.items()}
    print(f"{path}: gzip body of {len(body):,} bytes")
    for name in ("304", "body"):
        share = middle[name] / middle[f"{name}, fixed"]
        print(f"  {name:<5} {middle[name]:>8,.0f} requests/s, {share:.2f} of the fixed one's rate (limit {LIMIT:.2f})")


if __name__ == "__main__":
    main()
