"""Suggest registered names for one that is unknown, for so many names of an import and no more."""

import difflib
from collections.abc import Collection
from dataclasses import dataclass, field

from app.registry.vocabulary import MAX_NAME

FEW = 50  # names among which one is looked for at no cost worth counting
MAX_SEARCHES = 200  # in more names than that: each takes milliseconds, and thousands of names may be wrong


@dataclass(slots=True)
class NearNames:
    """The suggestions of one import."""

    searches_left: int = MAX_SEARCHES
    _known: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def find(self, name: str, candidates: Collection[str], *, among: str, most: int = 3) -> list[str]:
        """Return the candidates most like the name; none once enough was searched. `among` names the candidates."""
        key = name[:MAX_NAME], among
        if key not in self._known:
            if len(candidates) > FEW:
                if self.searches_left == 0:
                    return []
                self.searches_left -= 1
            self._known[key] = difflib.get_close_matches(key[0], candidates, most, cutoff=0.7)
        return self._known[key]
