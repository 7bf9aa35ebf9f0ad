"""The version of a status: the database change counters that it includes, and the time up to which it is aged.

It means the same to every replica, so any of them can respond to `since`. A restored database repeats old counters:
its new generation makes earlier versions invalid.
"""

import re
from typing import NamedTuple, Self

from app.core.errors import Fault, Invalid

SLACK_MS = 3_000  # each replica ages states by its own clock


class Version(NamedTuple):
    generation: int
    status: int  # this and the next two: the change counters when they were read
    registry: int
    incident: int
    ms: int  # Unix time up to which states are aged and maintenance is applied

    def __str__(self) -> str:
        return ".".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises Invalid."""
        if not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,15}){4}", text):
            raise Invalid(
                Fault(
                    "since",
                    "bad_version",
                    "{given} is not a version",
                    "Send back `version` as you got it",
                    values={"given": text[:60]},
                )
            )
        return cls(*map(int, text.split(".")))

    def is_covered_by(self, other: "Version", *, slack_ms: int = 0) -> bool:
        """Whether a client that has the other version has everything in this one."""
        return (
            self.generation == other.generation
            and self.status <= other.status
            and self.registry <= other.registry
            and self.incident <= other.incident
            and self.ms + slack_ms <= other.ms
        )

    def merged_with(self, seen: "Version") -> "Version":
        """Return the version that a client with `seen` has after a change from here: the older of each counter.

        What a slower replica lacks is then sent again.
        """
        return self if seen.is_covered_by(self) else Version(*map(min, self, seen))


START = Version(0, -1, -1, -1, 0)
