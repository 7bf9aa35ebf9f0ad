"""Static files of pages: stylesheets put together from their parts, and scripts; named by their content."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header, Response

from app.core.errors import NotFound

STATIC = Path(__file__).parent / "static"
PARTS = {  # by bundle: files without their ending; of css/ in this order, `*` all but those of others
    "public.css": ("base", "charts", "public"),
    "measure.css": ("base", "public", "measure"),
    "measure.js": ("measure/store", "measure/line", "measure/page"),
    "paper.css": ("base", "paper"),
    "console.css": ("base", "charts", "components", "*"),
    "console.js": (),
    "public.js": (),
}
TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
OWN_PAGES = {"measure", "paper", "public"}  # parts that the console does not need

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Asset:
    name: str
    content: bytes
    compressed: bytes
    media_type: str


@cache
def assets() -> dict[str, Asset]:
    """Return the assets by their names, such as `console.1f0c2a9b.css`."""
    made = [_asset(bundle, _content(bundle, parts)) for bundle, parts in PARTS.items()]
    return {asset.name: asset for asset in made}


@cache
def asset_name(bundle: str) -> str:
    """Return the path of a bundle below the service's root, such as `assets/console.1f0c2a9b.css`."""
    stem, _, kind = bundle.rpartition(".")
    [name] = [name for name in assets() if name.startswith(f"{stem}.") and name.endswith(f".{kind}")]
    return f"assets/{name}"


@router.get("/assets/{name}")
async def get_asset(name: str, accept_encoding: Annotated[str, Header()] = "") -> Response:
    asset = assets().get(name)
    if asset is None:
        raise NotFound
    headers = FOREVER | {"Vary": "Accept-Encoding"}
    if "gzip" in accept_encoding:
        return Response(asset.compressed, media_type=asset.media_type, headers=headers | {"Content-Encoding": "gzip"})
    return Response(asset.content, media_type=asset.media_type, headers=headers)


def _asset(bundle: str, content: bytes) -> Asset:
    stem, _, kind = bundle.rpartition(".")
    name = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{kind}"
    return Asset(name, content, gzip.compress(content, 9, mtime=0), TYPES[kind])


def lean_script(name: str) -> bytes:
    """Return a script as it is sent to phones: without indentation, and without lines that are only a comment."""
    lines = (line.strip() for line in (STATIC / f"{name}.js").read_text(encoding="utf-8").splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("//")).encode()


def _content(bundle: str, parts: tuple[str, ...]) -> bytes:
    if not parts:
        return (STATIC / bundle).read_bytes()
    if bundle.endswith(".js"):
        return b"".join(lean_script(part) for part in parts)
    files = {file.stem: file for file in sorted((STATIC / "css").glob("*.css"))}
    named = [part for part in parts if part in files]
    rest = [stem for stem in files if stem not in {*named, *OWN_PAGES}] if "*" in parts else []
    return b"".join(files[stem].read_bytes() for stem in (*named, *rest))
