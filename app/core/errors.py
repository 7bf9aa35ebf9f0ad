"""Every error this service answers with, named once, with its status.

Problem
├── NotSignedIn        401  no token, or one that is wrong, expired or revoked
│   └── WrongPassword       no such account, or another password: which of them, nobody is told
├── NotAllowed         403  the role does not allow it, or a named region lies outside the scope
│   ├── Forged              a session's unsafe request came without its CSRF token
│   └── NewPasswordNeeded   the password was given by somebody else: its owner sets one first
├── NotFound           404  unknown, or out of scope
├── Conflict           409  something of the same identity exists, or it is over
├── Gone               410  what changed since then is not remembered any more
├── CodeOver           410  an enrolment code that was never given out, or is over: which of them, nobody is told
│   ├── CodeUsed            an agent was installed with it already
│   └── CodeWithdrawn       the office ended it, or gave out a newer one
├── Stale              412  If-Match names an older version
├── TooLarge           413  the body is larger than any request of ours
├── Invalid            422  fields or parameters are wrong: all of them are listed
├── TooManyRequests    429  more than one caller may send: the next one after a while
│   ├── TooManyTries        sign-ins that failed
│   └── TooManyDiagnoses    one of a site at a time, few a minute
├── Unavailable        503  the database is away
│   └── TooManyStreams      as many are open here as may be
└── TookTooLong        504  it was asked for more than it answers in time
"""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One wrong field. `message` and `suggestion` are English templates: they are translated and filled at the edge."""

    field: str
    code: str
    message: str
    suggestion: str | None = None
    row: int | None = None
    values: dict[str, Any] = default(default_factory=dict)


class Problem(Exception):
    """`detail` is a template with its `values`, as a Fault's message is; what is `extra` stands beside it."""

    status = 500
    type = "internal-error"
    title = "Something went wrong on our side"

    def __init__(
        self,
        detail: str | None = None,
        *,
        values: dict[str, Any] | None = None,
        faults: Sequence[Fault] = (),
        **extra: Any,
    ) -> None:
        self.detail, self.values = detail, values or {}
        super().__init__((detail or self.title).format_map(self.values))
        self.faults = tuple(faults)
        self.extra = extra


class NotSignedIn(Problem):
    status, type, title = 401, "not-signed-in", "A valid token is needed"


class WrongPassword(NotSignedIn):
    type, title = "wrong-password", "Username or password is wrong"


class NotAllowed(Problem):
    status, type, title = 403, "not-allowed", "Your role or region does not allow this"


class Forged(NotAllowed):
    type, title = "csrf-token-missing", "The session's CSRF token is missing or wrong"


class NewPasswordNeeded(NotAllowed):
    type, title = "new-password-needed", "Set a password of your own first: POST /api/v1/me/password"


class NotFound(Problem):
    status, type, title = 404, "not-found", "There is no such thing within your scope"


class Conflict(Problem):
    status, type, title = 409, "conflict", "It conflicts with what is there"


class Gone(Problem):
    status, type, title = 410, "version-too-old", "What changed since that version is not remembered any more"


class CodeOver(Problem):
    status, type, title = 410, "code-over", "This code is wrong, or it has expired: ask for a new one"


class CodeUsed(CodeOver):
    type, title = "code-used", "This code was used already: ask for a new one"


class CodeWithdrawn(CodeOver):
    type, title = "code-withdrawn", "This code was withdrawn: ask for a new one"


class Stale(Problem):
    status, type, title = 412, "stale-version", "Somebody changed it in the meantime"


class TooLarge(Problem):
    status, type, title = 413, "too-large", "The body is too large"


class Invalid(Problem):
    status, type, title = 422, "invalid", "Some fields are wrong"

    def __init__(self, *faults: Fault) -> None:
        super().__init__(faults=faults)


class TooManyRequests(Problem):
    status, type, title = 429, "too-many-requests", "Too many requests; slow down"

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("Wait for {seconds} s", values={"seconds": retry_after_s}, retry_after_s=retry_after_s)


class TooManyTries(TooManyRequests):
    type, title = "too-many-tries", "Too many tries failed; try again later"


class TooManyDiagnoses(TooManyRequests):
    type, title = "too-many-diagnoses", "Too much is being diagnosed at once"

    def __init__(self, detail: str, retry_after_s: int, **values: Any) -> None:
        Problem.__init__(self, detail, values={**values, "seconds": retry_after_s}, retry_after_s=retry_after_s)


class Unavailable(Problem):
    status, type, title = 503, "unavailable", "The database is away; try again shortly"


class TooManyStreams(Unavailable):
    type, title = "too-many-streams", "Too many streams are open here; try again shortly, or poll /status"


class TookTooLong(Problem):
    status, type = 504, "took-too-long"
    title = "That was too much at once: choose a shorter period, a coarser step or fewer sites"
