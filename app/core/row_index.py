"""Dense rows of integer keys: where a key's values stand in columns, found for many keys at once."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

ABSENT = -1


class RowIndex:
    """A key keeps its row until it is removed; a freed row is given to the next key that is added."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._free: list[int] = []
        self._changed: set[int] = set()  # keys not yet as they are in the sorted columns
        self._sorted_keys: NDArray[np.int64] = np.zeros(0, np.int64)
        self._sorted_rows: NDArray[np.int64] = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[int]:
        """Iterate over the keys."""
        return iter(self._rows)

    @property
    def size(self) -> int:
        """How many rows the columns must have: those in use, and the free ones among them."""
        return len(self._rows) + len(self._free)

    def row(self, key: int) -> int:
        """Return the key's row, or ABSENT."""
        return self._rows.get(key, ABSENT)

    def add(self, key: int) -> int:
        """Return the key's row, a new one if it has none."""
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = self._free.pop() if self._free else len(self._rows)
            self._changed.add(key)
        return row

    def remove(self, key: int) -> int:
        """Free the key's row and return it; ABSENT if it had none."""
        row = self._rows.pop(key, ABSENT)
        if row != ABSENT:
            self._free.append(row)
            self._changed.add(key)
        return row

    def rows(self, keys: NDArray[Any]) -> NDArray[np.int64]:
        """Return the row of each key, or ABSENT."""
        if self._changed:
            self._merge_changed()
        if not len(self._sorted_keys):
            return np.full(len(keys), ABSENT, np.int64)
        at = np.minimum(np.searchsorted(self._sorted_keys, keys), len(self._sorted_keys) - 1)
        return np.where(self._sorted_keys[at] == keys, self._sorted_rows[at], ABSENT)

    def _merge_changed(self) -> None:
        kept = ~np.isin(self._sorted_keys, list(self._changed))
        keys, rows = self._sorted_keys[kept], self._sorted_rows[kept]
        added = sorted(key for key in self._changed if key in self._rows)
        at = np.searchsorted(keys, added)
        self._sorted_keys = np.insert(keys, at, added)
        self._sorted_rows = np.insert(rows, at, [self._rows[key] for key in added])
        self._changed.clear()
