"""nginx in front of the API, set up as config/nginx says."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.settings import CONFIG_DIR
from tests.support.demo_process import free_port, wait_for

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")


MAIN = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    {example}
}}
"""


def example_config() -> str:
    return (CONFIG_DIR / "nginx" / "sinyal.conf").read_text(encoding="utf-8")


def adapted(example: str, *, port: int, api: int, ingest: int, folder: Path, tls: Path | None = None) -> str:
    """Adapt the example to that port, without the server that only redirects to https.

    Plain HTTP, unless `tls` is a folder with fullchain.pem and privkey.pem.
    """
    example = re.sub(r"server \{\n    listen 80;.*?\n\}\n", "", example, flags=re.DOTALL)
    dropped = r"^ *listen \[.*$" if tls else r"^ *(ssl_|http2 |listen \[).*$"
    example = re.sub(dropped, "", example, flags=re.MULTILINE).replace("/etc/ssl/sinyal", str(tls))
    for ours, theirs in (
        ("server 127.0.0.1:8000;", f"server 127.0.0.1:{api};"),
        ("server 127.0.0.1:8001;", f"server 127.0.0.1:{ingest};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port}{' ssl sndbuf=128k' if tls else ''};"),
        ("/var/log/nginx/", f"{folder}/"),
    ):
        assert ours in example
        example = example.replace(ours, theirs)
    return example


@asynccontextmanager
async def behind_nginx(
    api: int, folder: Path, *, ingest: int | None = None, config: str | None = None, tls: Path | None = None
) -> AsyncIterator[int]:
    """Run nginx in front of the API at a port, with our example or another config; yield nginx's port.

    `ingest`: its port; by default the API takes what devices send. `tls`: as for `adapted`.
    """
    assert NGINX is not None
    port = free_port()
    example = adapted(config or example_config(), port=port, api=api, ingest=ingest or api, folder=folder, tls=tls)
    file = folder / "nginx.conf"
    file.write_text(MAIN.format(folder=folder, example=example))
    process = await asyncio.create_subprocess_exec(NGINX, "-p", str(folder), "-c", str(file))
    try:
        await asyncio.to_thread(wait_for, (folder / "nginx.pid").exists, 10, every_s=0.05)
        yield port
    finally:
        process.terminate()
        await process.wait()
