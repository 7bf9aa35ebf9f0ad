from enum import StrEnum


class RowVerdict(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    SAME = "same"
    ERROR = "error"
