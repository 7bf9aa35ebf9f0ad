"""The public pages in memory: each rendered when it is first asked for, and again once what it shows has changed."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date

from cachetools import LRUCache

from app.pages.responses import PAGE_POLICY
from app.postgres.engine import Sessions
from app.public.addresses import FILES, Address, PageKind, list_addresses
from app.public.contents import PublicContents
from app.public.editions.edition import Edition
from app.public.page_cache import CachedPage
from app.public.publication import Publication
from app.public.rendering import PageRenderer
from app.public.snapshot import PublicReader, PublicSnapshot
from app.settings import Settings
from app.web.security_headers import POLICY

MAX_AGE_S = 60
CACHED = {"Cache-Control": f"public, max-age={MAX_AGE_S}"}
FIXED = {"Cache-Control": "public, max-age=86400"}  # of a version's files: it never changes
MAX_FILES = 16_000_000  # bytes of compressed files of editions in memory
OPEN = {"Access-Control-Allow-Origin": "*"}  # of the open data: any page may read them


class PublicPages:
    """`cached` by path: never more pages than there are addresses."""

    def __init__(self, sessions: Callable[[], Sessions], settings: Settings) -> None:
        self.publication = Publication.from_settings(settings.public)
        self.base = settings.root_path
        self.reader = PublicReader(sessions, self.publication)
        self.renderer = PageRenderer(self.publication, self.base)
        self.contents = PublicContents(sessions, self.reader, self.renderer)
        self.cached: dict[str, CachedPage] = {}
        self._files: LRUCache[str, CachedPage] = LRUCache(MAX_FILES, getsizeof=CachedPage.size)
        self._listed: tuple[Mapping[date, Sequence[Edition]], dict[str, Address]] | None = None

    def _addresses(self, snapshot: PublicSnapshot) -> dict[str, Address]:
        """Return the addresses by path, listed anew when there are other editions of the open data."""
        if self._listed is None or self._listed[0] != snapshot.editions:
            listed = list_addresses(self.publication, snapshot.editions)
            self._listed = (snapshot.editions, {self.base + address.path: address for address in listed})
        return self._listed[1]

    async def find(self, path: str) -> CachedPage | None:
        """Return the page at a path; None if nothing is published there."""
        snapshot = await self.reader.current()
        address = self._addresses(snapshot).get(path)
        if address is None:
            return None
        if address.kind is PageKind.EDITION_FILE:
            return await self._find_file(path, address, snapshot)
        page, facts = self.cached.get(path), self.contents.facts(address, snapshot)
        if page is None or page.facts != facts:
            page = self.cached[path] = await self._make(address, snapshot, facts)
        page.fresh_until = self.reader.fresh_until
        return page

    async def _find_file(self, path: str, address: Address, snapshot: PublicSnapshot) -> CachedPage:
        """Return a file of an edition: the last ones asked for are kept, up to MAX_FILES."""
        page, facts = self._files.get(path), self.contents.facts(address, snapshot)
        if page is None or page.facts != facts:
            page = await self._make(address, snapshot, facts)
            if page.size() <= MAX_FILES:
                self._files[path] = page
        return page

    async def _make(self, address: Address, snapshot: PublicSnapshot, facts: object) -> CachedPage:
        content = await self.contents.render(address, snapshot)
        headers = {"Content-Type": content.media_type, **CACHED}
        if address.kind in FILES:
            headers |= OPEN | (FIXED if "/v" in address.code else {})
        else:
            headers |= {POLICY: PAGE_POLICY, "Content-Language": address.language}
        return CachedPage.of(content.body, headers, facts=facts)

    def present_path(self, path: str, snapshot: PublicSnapshot) -> str | None:
        """Return the path of a region's page by a former code of it."""
        start, _, code = path.rpartition("/")
        present = snapshot.aliases.get(code)
        return (
            f"{start}/{present}" if present is not None and f"{start}/{present}" in self._addresses(snapshot) else None
        )
