"""Writes the public pages as plain files, for a web server that serves them while the api is down.

What changed is written each minute. Days change only slowly: those of villages, and open data, are written once an
hour, each in its own minute, so that no minute has much to do. A file is replaced whole or not at all.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

from app.pages.assets import asset_name, assets
from app.postgres.engine import Sessions
from app.public.addresses import FILES, Address, PageKind, list_addresses
from app.public.contents import Facts, PublicContents
from app.public.editions.edition import find_file
from app.public.publication import Publication
from app.public.rendering import PageRenderer
from app.public.snapshot import PublicReader, PublicSnapshot
from app.settings import Settings

MARK = ".sinyal-desa"  # a folder without it that holds something is somebody else's
OURS = [  # what is removed once it is not published any more
    *(f"{language}{kind}/64*.html" for language in ("", "en/") for kind in ("desa", "kabupaten")),
    *("data.html", "en/data.html", "data/*", "assets/public.*"),
    *(f"{language}data-terbuka{rest}" for language in ("", "en/") for rest in (".html", "/**/*")),
]
AT_ONCE = {PageKind.HOME, PageKind.DISTRICT}
MINUTES = 60


class ForeignFolder(Exception):
    """The folder for the public files holds files that are not ours."""


class PublicFiles:
    def __init__(self, folder: Path, sessions: Callable[[], Sessions], settings: Settings) -> None:
        publication = Publication.from_settings(settings.public)
        self._folder = folder
        self._reader = PublicReader(sessions, publication)
        renderer = PageRenderer(publication, settings.root_path, copies=True)
        self._contents = PublicContents(sessions, self._reader, renderer)
        self._written: dict[Address, Facts] = {}

    async def write(self) -> int:
        """Write what is due; return how many files. Raises ForeignFolder."""
        snapshot = await self._reader.current()
        addresses = list(list_addresses(self._reader.publication, snapshot.editions))
        if not self._written:
            await asyncio.to_thread(self._prepare, {file_of(address) for address in addresses})
        count, minute = 0, int(time.monotonic() // 60) % MINUTES
        for address in addresses:
            facts = self._contents.facts(address, snapshot)
            if address not in self._written and await self._is_there(address, snapshot):
                self._written[address] = facts
            if not self._is_due(address, facts, minute):
                continue
            content = await self._contents.render(address, snapshot)
            replace_file(self._folder / file_of(address), content.body)
            self._written[address] = facts
            count += 1
            await asyncio.sleep(0)  # probes run in between
        return count

    async def _is_there(self, address: Address, snapshot: PublicSnapshot) -> bool:
        """Whether a file of an edition was written before this process began: they are many, and stay as they are."""
        found = find_file(snapshot.editions, address.code) if address.kind is PageKind.EDITION_FILE else None
        return found is not None and await asyncio.to_thread(_holds, self._folder / file_of(address), found[1].sha256)

    def _is_due(self, address: Address, facts: Facts, minute: int) -> bool:
        before = self._written.get(address)
        if before is None:
            return True
        if address.kind in AT_ONCE:
            return facts != before
        changed = facts.states != before.states and address.kind not in FILES
        return changed or (facts != before and crc32(address.path.encode()) % MINUTES == minute)

    def _prepare(self, published: set[str]) -> None:
        """Take over the folder, and remove what is not published any more."""
        folder = self._folder
        _make_folder(folder)
        if not (folder / MARK).exists():
            if any(folder.iterdir()):
                raise ForeignFolder(f"{folder} holds other files: set public.files_dir to a folder of its own")
            (folder / MARK).touch()
        styles = [assets()[asset_name(bundle).removeprefix("assets/")] for bundle in ("public.css", "public.js")]
        for asset in styles:
            replace_file(folder / "assets" / asset.name, asset.content)
        kept = published | {f"assets/{asset.name}" for asset in styles}
        for file in self._find_ours():
            if file.relative_to(folder).as_posix() not in kept:
                file.unlink()

    def _find_ours(self) -> Iterator[Path]:
        for pattern in OURS:
            yield from (file for file in self._folder.glob(pattern) if file.is_file())


def file_of(address: Address) -> str:
    """Return the path of an address' file, as config/nginx looks for it."""
    path = address.path.removeprefix("/")
    if address.kind is PageKind.HOME:
        return f"{path}/index.html".removeprefix("/")
    return path if address.kind in FILES else f"{path}.html"


def replace_file(file: Path, content: bytes) -> None:
    """Write a file that anybody may read: whole, or not at all."""
    _make_folder(file.parent)
    new = file.with_name(f".{file.name}.new")
    new.write_bytes(content)
    new.chmod(0o644)
    os.replace(new, file)


def _holds(file: Path, sha256: str) -> bool:
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == sha256


def _make_folder(folder: Path) -> None:
    """Make a folder that the web server may read."""
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o755)
