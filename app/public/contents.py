"""What stands at each address, and what it is made from: while that is the same, so is the content."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from app.core.errors import NotFound
from app.core.single_flight import SingleFlight
from app.postgres.engine import Sessions, transaction
from app.public import open_data
from app.public.addresses import OF_VILLAGES, Address, DataFile, PageKind
from app.public.editions import data_files
from app.public.editions.edition import find_file
from app.public.editions.store import find_body
from app.public.rendering import PageRenderer
from app.public.snapshot import PublicReader, PublicSnapshot

HTML = "text/html; charset=utf-8"
MONTHS_EVERY_S = 3600
MONTHLY = {DataFile.VILLAGE_MONTHS, DataFile.DISTRICT_MONTHS}


class Facts(NamedTuple):
    """`states`: what is told at once; `others`: what changes every ten minutes at most."""

    states: object
    others: object


@dataclass(frozen=True, slots=True)
class RenderedFile:
    body: bytes
    media_type: str


class PublicContents:
    def __init__(self, sessions: Callable[[], Sessions], reader: PublicReader, renderer: PageRenderer) -> None:
        self._sessions, self.reader, self.renderer = sessions, reader, renderer
        self._flight: SingleFlight[str, bytes] = SingleFlight()

    def facts(self, address: Address, snapshot: PublicSnapshot) -> Facts:
        if address.kind in {PageKind.METHOD, PageKind.DATA} or address.code == DataFile.DICTIONARY:
            return Facts(None, snapshot.simulated_until)
        if address.kind in {PageKind.EDITIONS, PageKind.EDITION}:
            return Facts(None, (snapshot.editions, snapshot.simulated_until))
        if address.kind is PageKind.EDITION_FILE:
            return Facts(None, find_file(snapshot.editions, address.code))
        if address.code in MONTHLY:
            return Facts(None, int(time.monotonic() // MONTHS_EVERY_S))
        if address.kind is PageKind.VILLAGE:
            shown: object = snapshot.villages.get(address.code)
            thought = snapshot.satisfaction.get(address.code)
            measured = snapshot.visitors.get(address.code)
            days = (snapshot.history.counted_at, snapshot.simulated_until, thought, measured)
            return Facts((shown, snapshot.late_since), days)
        region = address.code if address.kind is PageKind.DISTRICT else ""
        shown = tuple(village for code, village in snapshot.villages.items() if code.startswith(region))
        return Facts((shown, snapshot.late_since), (snapshot.history.counted_at, snapshot.simulated_until))

    async def render(self, address: Address, snapshot: PublicSnapshot) -> RenderedFile:
        if address.kind is PageKind.EDITION_FILE:
            return await self._read_edition_file(address.code, snapshot)
        if address.kind is not PageKind.FILE:
            return RenderedFile(self.renderer.page(address, snapshot).encode(), HTML)
        file = DataFile(address.code)
        key = f"{file} {snapshot.at}"
        if file in MONTHLY:
            body = await self._flight.run(key, lambda: self._render_months(file, snapshot))
        elif file in OF_VILLAGES:  # a tenth of a second: in a thread
            write = open_data.villages_csv if file is DataFile.VILLAGES else open_data.villages_geojson
            body = await self._flight.run(key, lambda: asyncio.to_thread(write, snapshot))
        else:
            body = open_data.dictionary_csv(self.reader.publication)
        return RenderedFile(body, open_data.media_type(file))

    async def _read_edition_file(self, path: str, snapshot: PublicSnapshot) -> RenderedFile:
        """Read a file as it was published. Raises NotFound."""
        found = find_file(snapshot.editions, path)
        if found is None:
            raise NotFound
        edition, file = found

        async def read() -> bytes:
            async with transaction(self._sessions()) as session:
                return await find_body(session, edition.month, edition.version, file.name) or b""

        body = await self._flight.run(f"{edition.folder}/{file.name}", read)
        return RenderedFile(body, data_files.media_type(file.name))

    async def _render_months(self, file: DataFile, snapshot: PublicSnapshot) -> bytes:
        async with transaction(self._sessions()) as session:
            return await open_data.months_csv(session, file, snapshot, self.reader.publication)
