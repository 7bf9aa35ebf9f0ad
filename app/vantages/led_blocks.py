"""Blocks that the leading worker read for other shards: beside the readings, what its canaries answered meanwhile."""

import zlib
from datetime import timedelta
from typing import Any

import orjson

from app.judging.addressed_block import AddressedBlock
from app.judging.canary_evidence import CanaryLog
from app.judging.mass_outage import NO_CANARIES
from app.vantages.inbox import InboxBlock, PackedBlock
from probes.reading_block import TIMEOUT
from probes.reading_wire import LEVEL, decode_json, encode_json

# Before a lost look: what it confirms began at most a minute earlier, and nothing is known of a longer pause of beats.
LOOKED_BACK = timedelta(seconds=90)


def pack(block: AddressedBlock, canaries: CanaryLog, *, shard: int) -> PackedBlock:
    """The canaries' beats go along where a look was lost: they may decide whose fault that was."""
    json = encode_json(block.readings, block.addressed_at)
    lost = block.readings.slot[block.readings.outcome == TIMEOUT]
    if len(lost):
        beats = canaries.since(float(lost.min()) - LOOKED_BACK.total_seconds())
        json = json[:-1] + b',"canaries":' + orjson.dumps(beats.as_json()) + b"}"
    return PackedBlock(len(block), zlib.compress(json, LEVEL), shard)


def canaries_of(block: InboxBlock) -> CanaryLog:
    """Return the beats that came with a block of the leading worker's; of a prober's none do."""
    document: Any = decode_json(block.packed) if block.prober_id is None else {}
    beats = document.get("canaries")
    return NO_CANARIES if beats is None else CanaryLog.from_json(beats)
