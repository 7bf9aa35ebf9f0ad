"""The jobs that read accounts and routers for what they say of links, and compare it with what was judged."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import structlog

from app.core.clock import utc_now
from app.core.sealing import Sealer, Unsealable, read_keys
from app.postgres.engine import Sessions, transaction
from app.postgres.leader_lock import NoLongerLeader
from app.settings import Settings, SettingsError
from app.telemetry import account_batches, account_reading, disagreements, secrets, snmp_sources
from app.telemetry.account_batches import AccountAnswer
from app.worker.jobs import Job
from probes import starlink_account
from probes.policy import Forbidden
from probes.resolve import Unresolvable
from probes.snmp import SnmpProblem, SnmpReader, SnmpTarget
from probes.starlink_account import AccessToken, AccountAccess, AccountProblem
from probes.sweep import Prober
from probes.urls import host_of_url

log = structlog.get_logger()

EVERY_S, LOOK_S = 15, 60  # between two looks, and while nothing is registered
COMPARE_S, RECENT = 300, timedelta(days=2)
ROUTERS_AT_ONCE, ACCOUNTS_AT_ONCE = 10, 4
MAX_BATCHES = 20  # of an account in one run


class TelemetryReader:
    def __init__(self, sessions: Sessions, prober: Prober, settings: Settings) -> None:
        self._sessions, self._prober, self._settings = sessions, prober, settings
        self._snmp = SnmpReader()
        self._tokens: dict[tuple[int, int], AccessToken] = {}  # by account and version
        self._look_at = 0.0
        self._compared_all_at: float | None = None

    def jobs(self) -> list[Job]:
        return [
            Job("telemetry", EVERY_S, self.read_due, delayed=True, may_overrun=True),
            Job("telemetry_comparison", COMPARE_S, self.compare, delayed=True, may_overrun=True),
        ]

    def close(self) -> None:
        self._snmp.close()

    async def read_due(self) -> None:
        """Read what is due; while nothing is registered at all, look once a minute."""
        if time.monotonic() < self._look_at:
            return
        now = utc_now()
        async with transaction(self._sessions) as session:
            accounts = await account_reading.list_due(session, now)
            routers = await snmp_sources.list_due(session, now)
            if not accounts and not routers and not await account_reading.is_any_registered(session):
                self._look_at = time.monotonic() + LOOK_S
                return
        if not accounts and not routers:
            return
        sealer = await self._open_sealer()
        await asyncio.gather(
            _each(ACCOUNTS_AT_ONCE, accounts, lambda account: self.read_account(account, sealer)),
            _each(ROUTERS_AT_ONCE, routers, lambda router: self.read_router(router, sealer)),
        )

    async def compare(self) -> None:
        """Compare the last two days; once an hour all that is kept, of which the ledger may have been judged anew."""
        everything = self._compared_all_at is None or time.monotonic() - self._compared_all_at > 3_600
        kept = timedelta(days=max(1, self._settings.raw_retention_days - 1))
        async with transaction(self._sessions) as session:
            await disagreements.compare(session, since=utc_now() - (kept if everything else min(RECENT, kept)))
        if everything:
            self._compared_all_at = time.monotonic()

    async def read_account(self, account: Any, sealer: Sealer | None) -> None:
        """Take batch after batch until one is not full."""
        for _ in range(MAX_BATCHES):
            try:
                batch = await self._ask(account, sealer)
            except AccountProblem as problem:
                self._tokens.pop((account.id, account.version), None)
                log.warning("telemetry_account_not_read", account=account.id, problem=problem.reason, lost=problem.lost)
                async with transaction(self._sessions) as session:
                    await account_batches.fail(session, account.id, problem.reason, lost=problem.lost, now=utc_now())
                return
            if batch is None:
                return
            async with transaction(self._sessions) as session:
                answer = AccountAnswer(batch.samples, batch.rows, batch.size)
                await account_batches.take(session, account.id, answer, now=utc_now())
            if not batch.is_full:
                return

    async def _ask(self, account: Any, sealer: Sealer | None) -> starlink_account.TelemetryBatch | None:
        """Return an answer, None if the account was deleted. Raises AccountProblem."""
        access = await self._access(account, sealer)
        key = (account.id, account.version)
        token = self._tokens.get(key)
        if token is None or not token.is_valid:
            token = self._tokens[key] = await starlink_account.fetch_token(access, self._prober.client)
        async with transaction(self._sessions) as session:
            if not await account_batches.begin(session, account.id, now=utc_now()):
                return None
        return await starlink_account.read_batch(access, token, self._prober.client)

    async def _access(self, account: Any, sealer: Sealer | None) -> AccountAccess:
        try:
            if sealer is None:
                raise Unsealable
            secret = sealer.unseal(account.secret)
            address = await self._prober.resolve_address(host_of_url(account.base_url) or "")
        except Unsealable:
            raise AccountProblem("no_secret_key") from None
        except Forbidden:
            raise AccountProblem("forbidden") from None
        except Unresolvable:
            raise AccountProblem("unresolvable") from None
        return AccountAccess(account.base_url, address, account.client_id, secret)

    async def read_router(self, source: Any, sealer: Sealer | None) -> None:
        try:
            if sealer is None:
                raise Unsealable
            access = secrets.unseal(sealer, source.secret)
            address = await self._prober.resolve_address(source.host)
            said = await self._snmp.read(SnmpTarget(address, source.interface, access, source.port))
            if source.interface_name is not None and said.device != source.interface_name:
                raise SnmpProblem("interface_renamed")
        except (SnmpProblem, Unsealable, Forbidden, Unresolvable) as error:
            problem = PROBLEMS.get(type(error)) or str(error)
            async with transaction(self._sessions) as session:
                await snmp_sources.note_failure(session, source.id, problem, now=utc_now())
            return
        async with transaction(self._sessions) as session:
            await snmp_sources.note_read(session, source, said, now=utc_now())

    async def _open_sealer(self) -> Sealer | None:
        try:
            keys = await asyncio.to_thread(read_keys, self._settings)
        except SettingsError as error:
            log.error("telemetry_secrets_not_opened", problem=str(error))
            return None
        return Sealer(keys) if keys else None


PROBLEMS: dict[type[Exception], str] = {
    Unsealable: "no_secret_key",
    Forbidden: "forbidden",
    Unresolvable: "unresolvable",
}


async def _each(at_once: int, rows: Any, read: Callable[[Any], Awaitable[None]]) -> None:
    """Read all, a few at once; one that fails keeps no other from it."""
    places = asyncio.Semaphore(at_once)

    async def one(row: Any) -> None:
        async with places:
            await read(row)

    for result in await asyncio.gather(*map(one, rows), return_exceptions=True):
        if isinstance(result, Exception) and not isinstance(result, NoLongerLeader):
            log.error("telemetry_not_read", error=repr(result), exc_info=result)
        elif isinstance(result, BaseException):
            raise result
