from enum import StrEnum


class RowVerdict(StrEnum):
    """`create`: a new site; `update`: of a known one; `same`: nothing changes; `error`: the row is wrong."""

    CREATE = "create"
    UPDATE = "update"
    SAME = "same"
    ERROR = "error"
