"""The version of a status: what its maker had seen. It means the same to every replica, so any of them answers `since`.

A restored database counts again from where it was: its generation tells that versions from before mean nothing now.
"""

import re
from typing import NamedTuple, Self

from app.core.errors import Fault, Invalid

SLACK_MS = 3_000  # states age by each replica's own clock, at its own second


class Version(NamedTuple):
    generation: int
    status: int  # the three change counters, as far as they were read
    registry: int
    incident: int
    ms: int  # up to when states had aged, and maintenance begun and ended

    def __str__(self) -> str:
        return ".".join(map(str, self))

    @classmethod
    def read(cls, given: str) -> Self:
        """Raises Invalid."""
        if not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,15}){4}", given):
            raise Invalid(
                Fault(
                    "since",
                    "bad_version",
                    "{given} is not a version",
                    "Send back `version` as you got it",
                    values={"given": given[:60]},
                )
            )
        return cls(*map(int, given.split(".")))

    def is_within(self, other: "Version", *, slack_ms: int = 0) -> bool:
        """Whether who saw the other has seen all of this one."""
        return (
            self.generation == other.generation
            and self.status <= other.status
            and self.registry <= other.registry
            and self.incident <= other.incident
            and self.ms + slack_ms <= other.ms
        )

    def told(self, seen: "Version") -> "Version":
        """The version of an answer of ours to who saw that one: what a slower replica lacks will be told again."""
        return self if seen.is_within(self) else Version(*map(min, self, seen))


START = Version(0, -1, -1, -1, 0)
