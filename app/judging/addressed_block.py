"""Readings with the address that each was taken from: a round of probes as columns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import numpy as np
from numpy.typing import NDArray

from app.core.clock import from_micros, to_micros
from probes.contract import Reading
from probes.reading_block import Index, ReadingBlock

# With when the address it was read from became the site's; None: the reading's slot decides.
AddressedReading = tuple[Reading, datetime | None]

BY_SLOT = np.iinfo(np.int64).min  # for None in a column of microseconds


@dataclass(frozen=True, slots=True, eq=False)
class AddressedBlock:
    readings: ReadingBlock
    addressed_at: NDArray[np.int64]  # microseconds since 1970 (UTC), or BY_SLOT

    def __len__(self) -> int:
        return len(self.addressed_at)

    @classmethod
    def of(cls, items: Iterable[AddressedReading]) -> Self:
        items = list(items)
        since = [BY_SLOT if addressed_at is None else to_micros(addressed_at) for _, addressed_at in items]
        return cls(ReadingBlock.of(reading for reading, _ in items), np.array(since, np.int64))

    def items(self) -> list[AddressedReading]:
        since = [None if micros == BY_SLOT else from_micros(micros) for micros in self.addressed_at.tolist()]
        return list(zip(self.readings.readings(), since, strict=True))

    def take(self, rows: Index) -> Self:
        """Return these rows, in the order of `rows`: indices, a mask or a slice."""
        return type(self)(self.readings.take(rows), self.addressed_at[rows])

    @classmethod
    def concat(cls, blocks: Sequence[Self]) -> Self:
        readings = ReadingBlock.concat([block.readings for block in blocks])
        since = [np.zeros(0, np.int64), *(block.addressed_at for block in blocks)]
        return cls(readings, np.concatenate(since))
