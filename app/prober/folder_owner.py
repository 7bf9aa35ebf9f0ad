"""For whom a folder's readings were taken: what was read in one vantage, or for one server, is never another's."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Self

import orjson

from app.prober.assignment import ProbeRules

NOTE = "owner"


@dataclass(frozen=True, slots=True)
class FolderOwner:
    """`server`: the identifier of its database; a restored backup has another one, but knows the same tokens."""

    vantage: int | None
    server: str
    token_digest: str

    @classmethod
    def of(cls, rules: ProbeRules, token: str) -> Self:
        server = (rules.database or "").rpartition("-")[0]
        return cls(rules.vantage, server, hashlib.sha256(token.encode()).hexdigest())

    @classmethod
    def read(cls, note: bytes | None) -> Self | None:
        return None if note is None else cls(**orjson.loads(note))

    def as_note(self) -> bytes:
        return orjson.dumps(asdict(self))

    def find_difference(self, noted: "FolderOwner | None") -> str | None:
        """Return why what was read for the noted one is not to be delivered for this one; None where it may."""
        if noted is None:
            return None
        if noted.vantage != self.vantage:
            return f"of vantage {noted.vantage}, and this token is of vantage {self.vantage}"
        if noted.server != self.server and noted.token_digest != self.token_digest:
            return "for another server, and this token is of this one"
        return None
