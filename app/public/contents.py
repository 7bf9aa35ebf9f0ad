"""What stands at each address, and what it is made from: while that is the same, so is the content."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from app.core.single_flight import SingleFlight
from app.postgres.engine import Sessions, transaction
from app.public import open_data
from app.public.addresses import OF_VILLAGES, Address, DataFile, PageKind
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
        if address.code in MONTHLY:
            return Facts(None, int(time.monotonic() // MONTHS_EVERY_S))
        if address.kind is PageKind.VILLAGE:
            shown: object = snapshot.villages.get(address.code)
        else:
            region = address.code if address.kind is PageKind.DISTRICT else ""
            shown = tuple(village for code, village in snapshot.villages.items() if code.startswith(region))
        return Facts((shown, snapshot.late_since), (snapshot.history.counted_at, snapshot.simulated_until))

    async def render(self, address: Address, snapshot: PublicSnapshot) -> RenderedFile:
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

    async def _render_months(self, file: DataFile, snapshot: PublicSnapshot) -> bytes:
        async with transaction(self._sessions()) as session:
            return await open_data.months_csv(session, file, snapshot, self.reader.publication)
