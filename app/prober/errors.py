"""What an exchange with the server may come to.

ProberError
├── ServerUnreachable   no answer, or none now: tried again after a while
├── TokenRefused        401, 403: asked again each minute
├── BodyTooLarge        413: sent again in smaller parts
├── BodyRefused         400, 422: this body will never be taken
└── ProberEnds          this process has no business any more, and ends with its exit code
    ├── FolderOfAnother    what it holds was read in another vantage, or for another server
    ├── TokenTakenOver
    ├── ProberOutdated
    └── RefusedForGood
"""


class ProberError(Exception):
    pass


class ServerUnreachable(ProberError):
    def __init__(self, why: str, retry_after_s: float = 0.0) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class TokenRefused(ProberError):
    pass


class BodyTooLarge(ProberError):
    pass


class BodyRefused(ProberError):
    pass


class ProberEnds(ProberError):
    exit_code = 1


class FolderOfAnother(ProberEnds):
    exit_code = 2


class TokenTakenOver(ProberEnds):
    exit_code = 3


class ProberOutdated(ProberEnds):
    exit_code = 4


class RefusedForGood(ProberEnds):
    exit_code = 5
