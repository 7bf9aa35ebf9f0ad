"""The public pages in memory: each rendered when it is first asked for, and again once what it shows has changed."""

from collections.abc import Callable
from functools import cached_property

from app.pages.responses import PAGE_POLICY
from app.postgres.engine import Sessions
from app.public.addresses import Address, PageKind, list_addresses
from app.public.contents import PublicContents
from app.public.page_cache import CachedPage
from app.public.publication import Publication
from app.public.rendering import PageRenderer
from app.public.snapshot import PublicReader, PublicSnapshot
from app.settings import Settings
from app.web.security_headers import POLICY

MAX_AGE_S = 60
CACHED = {"Cache-Control": f"public, max-age={MAX_AGE_S}"}
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

    @cached_property
    def _addresses(self) -> dict[str, Address]:
        """By path, made when the first page is asked for."""
        return {self.base + address.path: address for address in list_addresses(self.publication)}

    async def find(self, path: str) -> CachedPage | None:
        """Return the page at a path; None if nothing is published there."""
        address = self._addresses.get(path)
        if address is None:
            return None
        snapshot = await self.reader.current()
        page, facts = self.cached.get(path), self.contents.facts(address, snapshot)
        if page is None or page.facts != facts:
            page = self.cached[path] = await self._make(address, snapshot, facts)
        page.fresh_until = self.reader.fresh_until
        return page

    async def _make(self, address: Address, snapshot: PublicSnapshot, facts: object) -> CachedPage:
        content = await self.contents.render(address, snapshot)
        headers = {"Content-Type": content.media_type, **CACHED}
        if address.kind is PageKind.FILE:
            headers |= OPEN
        else:
            headers |= {POLICY: PAGE_POLICY, "Content-Language": address.language}
        return CachedPage.of(content.body, headers, facts=facts)

    def present_path(self, path: str, snapshot: PublicSnapshot) -> str | None:
        """Return the path of a region's page by a former code of it."""
        start, _, code = path.rpartition("/")
        present = snapshot.aliases.get(code)
        return f"{start}/{present}" if present is not None and f"{start}/{present}" in self._addresses else None
