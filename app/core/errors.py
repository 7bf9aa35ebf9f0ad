"""Every error that the API answers with: named once, with its HTTP status.

Problem                        500
├── NotSignedIn                401  no token or session, or an unknown, expired or revoked one
│   └── WrongPassword               unknown username or wrong password: the response never tells which
├── NotAllowed                 403  the role does not allow it, or a region lies outside the caller's scope
│   ├── CsrfTokenInvalid            an unsafe request of a session came without its CSRF token
│   └── PasswordChangeRequired      somebody else chose the password: its owner sets a new one first
├── NotFound                   404  unknown, or outside the caller's scope
├── Conflict                   409  a duplicate, or the object's state does not allow it
├── Gone                       410  changes since that version are no longer kept
├── EnrolmentCodeInvalid       410  unknown or expired: the response never tells which
│   ├── EnrolmentCodeUsed           an agent was installed with it
│   └── EnrolmentCodeWithdrawn      withdrawn, or replaced by a newer one
├── LinkOver                   410  a message's link was used, or is older than a week
├── Stale                      412  If-Match names an older version
├── TooLarge                   413  the request body exceeds the limit
├── HeaderTooLarge             431  a header, or all of them together
├── Invalid                    422  wrong fields or parameters, all of them listed
├── TooManyRequests            429  over the caller's rate limit
│   ├── TooManyAttempts             failed sign-ins or guessed codes
│   ├── TooManyDiagnoses            one per site at a time, a few per minute and caller
│   └── TooManyStreamsOfCaller      the account, token or address has its share of open streams
├── Unavailable                503  the database is unavailable
│   ├── CommitUnknown               it went away during the commit: what was sent is stored, or is not
│   ├── SealingUnavailable          the secret key that seals channels is missing, or another one
│   ├── TooManyStreams              this process has as many open as it may
│   └── TooManySignIns              as many passwords wait for their check as may
└── QueryTimeout               504  the query took longer than allowed
"""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One wrong field. `message` and `suggestion` are English templates, translated and filled with `values` later."""

    field: str
    code: str
    message: str
    suggestion: str | None = None
    row: int | None = None
    values: dict[str, Any] = default(default_factory=dict)


class Problem(Exception):
    """`detail` is a template for `values`, like a Fault's message; `extra` becomes further members of the response."""

    status = 500
    type = "internal-error"
    title = "Internal error"

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
    status, type, title = 401, "not-signed-in", "Authentication required"


class WrongPassword(NotSignedIn):
    type, title = "wrong-password", "Wrong username or password"


class NotAllowed(Problem):
    status, type, title = 403, "not-allowed", "Not allowed for your role or region"


class CsrfTokenInvalid(NotAllowed):
    type, title = "csrf-token-missing", "CSRF token missing or wrong"


class PasswordChangeRequired(NotAllowed):
    type, title = "new-password-needed", "Password change required: POST /api/v1/me/password"


class NotFound(Problem):
    status, type, title = 404, "not-found", "Not found within your scope"


class Conflict(Problem):
    status, type, title = 409, "conflict", "Conflict with existing data"


class Gone(Problem):
    status, type, title = 410, "version-too-old", "Changes since that version are no longer kept"


class EnrolmentCodeInvalid(Problem):
    status, type, title = 410, "code-over", "Enrolment code unknown or expired: ask for a new one"


class EnrolmentCodeUsed(EnrolmentCodeInvalid):
    type, title = "code-used", "Enrolment code already used: ask for a new one"


class EnrolmentCodeWithdrawn(EnrolmentCodeInvalid):
    type, title = "code-withdrawn", "Enrolment code withdrawn: ask for a new one"


class LinkOver(Problem):
    status, type, title = 410, "link-over", "This link is over: open the incidents themselves"


class Stale(Problem):
    status, type, title = 412, "stale-version", "Changed by somebody else in the meantime"


class TooLarge(Problem):
    status, type, title = 413, "too-large", "Request body too large"


class HeaderTooLarge(Problem):
    status, type, title = 431, "header-too-large", "Request header too large"

    def __init__(self, name: str, max_bytes: int) -> None:
        super().__init__(
            faults=[Fault(name, "header_too_long", "A header has at most {max} bytes", values={"max": max_bytes})]
        )


class Invalid(Problem):
    status, type, title = 422, "invalid", "Validation failed"

    def __init__(self, *faults: Fault) -> None:
        super().__init__(faults=faults)


class TooManyRequests(Problem):
    status, type, title = 429, "too-many-requests", "Too many requests"

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("Wait for {seconds} s", values={"seconds": retry_after_s}, retry_after_s=retry_after_s)


class TooManyAttempts(TooManyRequests):
    type, title = "too-many-tries", "Too many failed attempts; try again later"


class TooManyDiagnoses(TooManyRequests):
    type, title = "too-many-diagnoses", "Too many diagnoses at once"

    def __init__(self, detail: str, retry_after_s: int, **values: Any) -> None:
        Problem.__init__(self, detail, values={**values, "seconds": retry_after_s}, retry_after_s=retry_after_s)


class TooManyStreamsOfCaller(TooManyRequests):
    type, title = "too-many-streams-of-caller", "Too many open streams of yours; close some, or poll /status"


class Unavailable(Problem):
    status, type, title = 503, "unavailable", "Database unavailable; try again shortly"


class CommitUnknown(Unavailable):
    type, title = "commit-unknown", "It is not known whether this was stored"

    def __init__(self) -> None:
        Problem.__init__(
            self,
            faults=[
                Fault(
                    "request",
                    "commit_unknown",
                    "The database went away while this was being stored",
                    "Look whether it is there before you send it again; with an Idempotency-Key send it again as it is",
                )
            ],
        )


class SealingUnavailable(Unavailable):
    type, title = "secret-key-unusable", "The service's secret key is missing or another one: see its log"


class TooManyStreams(Unavailable):
    type, title = "too-many-streams", "Too many open streams; try again shortly, or poll /status"


class TooManySignIns(Unavailable):
    type, title = "too-many-sign-ins", "Too many sign-ins at once; try again shortly"


class QueryTimeout(Problem):
    status, type = 504, "took-too-long"
    title = "Query timed out: choose a shorter period, a longer step or fewer sites"
