"""What readings are counted by: a site and a second, minute or hour since 1970, as one number that orders like them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

TIME_BITS = 33

Cells = NDArray[np.int64]


def cell_of(key: NDArray[Any], time: NDArray[Any]) -> Cells:
    cell: Cells = (key.astype(np.int64) << TIME_BITS) + time
    return cell


def key_of(cell: Cells) -> Cells:
    return cell >> TIME_BITS


def time_of(cell: Cells) -> Cells:
    return cell & ((1 << TIME_BITS) - 1)


def first_of_each(cell: Cells) -> Cells:
    """Return where each cell begins in a column in order."""
    is_first = np.ones(len(cell), bool)
    is_first[1:] = cell[1:] != cell[:-1]
    return np.flatnonzero(is_first)


def by_cell(operation: np.ufunc, column: NDArray[Any], firsts: Cells) -> NDArray[Any]:
    """Return `operation` over each cell's values, given where each begins."""
    return operation.reduceat(column, firsts) if len(firsts) else column
