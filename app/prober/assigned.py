"""Which sites this prober looks at: as the server told, and kept for a start without it."""

from dataclasses import dataclass

import orjson
import structlog
from pydantic import ValidationError

from app.prober import assignment
from app.prober.assignment import AssignmentUpdate, ProbeRules, SiteToProbe
from app.prober.errors import FolderOfAnother, ServerUnreachable
from app.prober.folder_owner import NOTE, FolderOwner
from app.prober.outbox import BlockOutbox
from app.prober.rounds import ProbeRounds
from app.prober.server_client import ServerAnswer, ServerClient
from app.prober.timekeeping import Timekeeper

log = structlog.get_logger()

ASK_AGAIN_S = 300.0  # of a version that has not changed: settings may have


@dataclass
class AssignedSites:
    client: ServerClient
    time: Timekeeper
    outbox: BlockOutbox
    rounds: ProbeRounds
    newest: int | None = None  # version, as the server told last
    _version: int | None = None
    _owner: FolderOwner | None = None
    _etag: str | None = None
    _asked_s: float = float("-inf")  # by the even clock

    async def load(self) -> None:
        """Look at the sites of the last assignment: the server does not answer."""
        stored = await self.outbox.spool.read(lambda spool: (spool.note("rules"), spool.sites()))
        if stored is None or stored[0] is None or self._version is not None:
            return
        try:
            rules = ProbeRules.model_validate_json(stored[0])
        except ValidationError as error:
            log.error("assignment_unreadable", error=str(error))
            return
        sites = assignment.stored_sites(stored[1])
        self.rounds.assign(AssignmentUpdate(rules, True, sites, (), ()), at_once=False)
        log.info("assignment_loaded", sites=len(sites))

    async def update(self) -> None:
        """Ask for the assignment where it may have changed; the first time for all of it."""
        even_s = self.time.clock.even()
        if even_s - self._asked_s < ASK_AGAIN_S and self.newest in (None, self._version):
            return
        answer = await self.client.get_assignment(since=self._version, etag=self._etag)
        self._asked_s = even_s
        if answer.document is None:
            self.newest = self._version
            return
        await self.time.observe(answer)
        try:
            update = assignment.read_update(answer.document)
        except ValueError as error:
            raise ServerUnreachable(f"an assignment that cannot be read: {error}") from None
        await self._require_own_folder(FolderOwner.of(update.rules, self.client.token))
        await self._apply(update, answer)

    async def _require_own_folder(self, owner: FolderOwner) -> None:
        """Raises FolderOfAnother where something waits for another one; what that one acknowledged is dropped."""
        if self._owner == owner:
            return
        spool = self.outbox.spool
        difference = owner.find_difference(FolderOwner.read(await spool.read(lambda spool: spool.note(NOTE))))
        await self.outbox.refresh_state()
        if difference and self.outbox.state.readings:
            holds = f"{spool.path.parent} holds {self.outbox.state.readings} readings {difference}"
            raise FolderOfAnother(f"{holds}: give it a folder of its own")
        if difference:
            await spool.write(lambda spool: spool.drop_acknowledged(), shrinks=True)
        self._owner = owner
        await spool.write(lambda spool: spool.put_note(NOTE, owner.as_note()))

    async def _apply(self, update: AssignmentUpdate, answer: ServerAnswer) -> None:
        is_first = self._version is None
        self.rounds.assign(update, at_once=not is_first)
        self._version, self._etag, self.newest = update.rules.version, answer.etag, update.rules.version
        for why in update.refused[:10]:
            log.error("assigned_site_refused", why=why)
        sites, rules = [_stored(site) for site in update.sites], update.rules.model_dump_json().encode()
        await self.outbox.spool.write(lambda spool: spool.put_sites(sites, update.removed, full=update.full))
        await self.outbox.spool.write(lambda spool: spool.put_note("rules", rules))
        counts = {"sites": len(update.sites), "removed": len(update.removed), "refused": len(update.refused)}
        log.info("assignment_received", version=self._version, full=update.full, **counts)


def _stored(site: SiteToProbe) -> tuple[int, bytes]:
    return site.id, orjson.dumps(site.model_dump(mode="json"))
