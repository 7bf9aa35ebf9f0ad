"""Which prober looks at each site of one vantage. Pure: the same sites, holders and live probers give the same answer.

A site keeps its prober as long as that one is live. What is free (new, or its prober is not live any more) goes to
those that have least. Only where that leaves shares too uneven, sites are taken from who has more than a fair share.
"""

from bisect import bisect_right
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

NOBODY = 0  # in place of a prober's id
MOST_SITES = 200_000  # of a prober: it takes no more
TOLERANCE = 0.1  # of a fair share: what probers may differ by before sites are moved between live ones
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # its multiples order neighbours far apart

Ids = NDArray[np.int32]
Counts = NDArray[np.int64]


def assign(sites: Ids, holders: Ids, live: Collection[int], *, most: int = MOST_SITES) -> Ids:
    """Return the prober of each of `sites`; `holders` are those of now. While nobody is live, everything stays.

    What is beyond `most` of each is NOBODY's.
    """
    if not live:
        return holders
    probers = np.array(sorted(live), np.int32)
    places = _places(probers, holders)
    had = np.bincount(places[places >= 0], minlength=len(probers))
    free = int((places < 0).sum())
    share = np.minimum(_shares(had, free), most)
    moving = _in_scattered_order(sites, np.flatnonzero((places < 0) | _surplus(sites, places, had - share)))
    takers = np.repeat(probers, np.maximum(share - had, 0))
    assigned = holders.copy()
    assigned[moving] = NOBODY
    assigned[moving[: len(takers)]] = takers
    return assigned


def _places(probers: Ids, holders: Ids) -> NDArray[np.int64]:
    """Return where each holder stands in `probers` (sorted), -1 where it does not."""
    places = np.minimum(np.searchsorted(probers, holders), len(probers) - 1)
    return np.where(probers[places] == holders, places, -1)


def _shares(had: Counts, free: int) -> Counts:
    """Return how many sites each is to have: those it had and some free ones, or a fair share if that is too uneven."""
    filled = _fill_lowest(had, free)
    fair, rest = divmod(int(filled.sum()), len(had))
    if filled.max() - filled.min() <= max(1, TOLERANCE * fair):
        return filled
    shares = np.full(len(had), fair)
    shares[np.argsort(-had, kind="stable")[:rest]] += 1  # whoever has most keeps one more: fewer moves
    return shares


def _fill_lowest(had: Counts, free: int) -> Counts:
    """Raise the lowest counts by `free` in all, so that the lowest are as high as can be."""
    level = bisect_right(range(int(had.sum()) + free + 1), free, key=lambda to: int(np.maximum(to - had, 0).sum())) - 1
    filled = np.maximum(had, level)
    filled[np.flatnonzero(filled == level)[: free - int((filled - had).sum())]] += 1
    return filled


def _surplus(sites: Ids, places: NDArray[np.int64], over: Counts) -> NDArray[np.bool_]:
    """Choose of each prober as many sites as it has beyond its share."""
    chosen = np.zeros(len(sites), np.bool_)
    for place in np.flatnonzero(over > 0):
        own = _in_scattered_order(sites, np.flatnonzero(places == place))
        chosen[own[: over[place]]] = True
    return chosen


def _in_scattered_order(sites: Ids, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Neighbours in the registry, often of one village or network, do not all move to the same prober."""
    return rows[np.argsort(sites[rows].astype(np.uint64) * GOLDEN, kind="stable")]
