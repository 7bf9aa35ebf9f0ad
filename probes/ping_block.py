"""Pings targets that are given by their address: the policy is asked, and the engine called, once for all of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from socket import AF_INET

import numpy as np
from numpy.typing import NDArray

from probes.contract import CENTRAL
from probes.echo import Echo
from probes.echo_batch import UNANSWERED, PongBatch
from probes.policy import AddressPolicy, Forbidden
from probes.reading_block import FAULT, OK, SOURCE_CODES, TIMEOUT, ReadingBlock, rtt_matrix
from probes.sockaddr import Addresses, address_text
from probes.target_block import TargetBlock, take_pings


@dataclass(slots=True)
class PendingBlock:
    """Targets with an address, and their readings once there are any."""

    targets: TargetBlock
    readings: ReadingBlock | None = None

    def finished(self, reason: str) -> ReadingBlock:
        """Return the readings; without any, faults for this reason."""
        return fault_block(self.targets, reason) if self.readings is None else self.readings


async def ping_block(echo: Echo, policy: AddressPolicy, targets: TargetBlock) -> ReadingBlock:
    """Return the readings of targets that all have an address, checked right before. Raises EchoClosed."""
    refusals = _refusals(policy, targets.pings.to)
    if not refusals:
        return _readings(targets, await echo.sweep(targets.pings))
    permitted = np.delete(np.arange(len(targets)), list(refusals))
    pongs = await echo.sweep(take_pings(targets.pings, permitted))
    return _readings(targets, _scattered(pongs, permitted, refusals))


def fault_block(targets: TargetBlock, reason: str) -> ReadingBlock:
    """Return a fault of each target, all for one reason."""
    rows = range(len(targets))
    return _readings(targets, _unsent(len(targets), 0, dict.fromkeys(rows, reason)))


def in_order(has_address: NDArray[np.bool_], pinged: ReadingBlock, probed: ReadingBlock) -> ReadingBlock:
    """Return the readings of targets with an address, and of the others, in the order of all targets."""
    rows = np.argsort(np.concatenate([np.flatnonzero(has_address), np.flatnonzero(~has_address)]))
    return ReadingBlock.concat([pinged, probed]).take(rows)


def _refusals(policy: AddressPolicy, addresses: Addresses) -> dict[int, str]:
    """Return by row why no probe may go there, where none may."""
    ipv4 = addresses["ipv4"].astype("=u4").view(">u4").astype(np.uint32)
    permitted = (addresses["family"] == AF_INET) & policy.permits(ipv4)
    return dict(_check_each(policy, addresses, np.flatnonzero(~permitted).tolist()))


def _check_each(policy: AddressPolicy, addresses: Addresses, rows: Iterable[int]) -> Iterable[tuple[int, str]]:
    for row in rows:
        try:
            policy.check(address_text(addresses[row]))
        except Forbidden as error:
            yield row, str(error)


def _readings(targets: TargetBlock, pongs: PongBatch) -> ReadingBlock:
    received = pongs.received.astype(np.int16)
    sent, outcome = pongs.sent.astype(np.int16), np.full(len(targets), OK, np.int8)
    failures: dict[int, str] = {}
    if not received.all():
        outcome[received == 0] = np.where(pongs.sent[received == 0] > 0, TIMEOUT, FAULT)
        failed = np.flatnonzero(outcome == FAULT)
        sent[failed] = 0
        failures = {row: pongs.reasons.get(row, "no packet was sent") for row in failed.tolist()}
    reason, reasons = _reason_columns(len(targets), failures)
    return ReadingBlock(
        key=targets.key,
        slot=targets.slot,
        outcome=outcome,
        sent=sent,
        received=received,
        rtt_us=rtt_matrix(received, (pongs.rtts_ns[pongs.rtts_ns != UNANSWERED] + 500) // 1000),
        valid_s=targets.valid_s,
        source=np.full(len(targets), SOURCE_CODES[CENTRAL], np.int8),
        reason=reason,
        reasons=reasons,
    )


def _reason_columns(rows: int, by_row: Mapping[int, str]) -> tuple[NDArray[np.int32], tuple[str | None, ...]]:
    reasons = tuple(dict.fromkeys(chain([None], by_row.values())))
    codes = {reason: code for code, reason in enumerate(reasons)}
    column = np.zeros(rows, np.int32)
    column[list(by_row)] = [codes[reason] for reason in by_row.values()]
    return column, reasons


def _unsent(rows: int, width: int, reasons: dict[int, str]) -> PongBatch:
    none = np.zeros(rows, np.int32)
    return PongBatch(none, none.copy(), np.full((rows, width), UNANSWERED, np.int64), reasons)


def _scattered(pongs: PongBatch, rows: NDArray[np.int64], refusals: dict[int, str]) -> PongBatch:
    """Return the pongs at these rows, and nothing sent to those refused."""
    reasons = refusals | {int(rows[row]): reason for row, reason in pongs.reasons.items()}
    whole = _unsent(len(rows) + len(refusals), pongs.rtts_ns.shape[1], reasons)
    whole.sent[rows], whole.faults[rows], whole.rtts_ns[rows] = pongs.sent, pongs.faults, pongs.rtts_ns
    return whole
