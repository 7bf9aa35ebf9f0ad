"""What each role may do: the one place that says it. How far it reaches is scope's."""

from enum import StrEnum

from app.access.models import ADMINS, PROVINCIAL, WRITERS, Role


class Right(StrEnum):
    READ = "read"  # whatever lies within the scope
    WRITE = "write"  # register, edit, import, acknowledge, plan maintenance: within the scope
    PROVINCE = "province"  # what serves every district: providers, contracts
    ADMINISTER = "administer"  # accounts, tokens, the audit: within the scope


HOLDERS: dict[Right, frozenset[Role]] = {
    Right.READ: frozenset(Role),
    Right.WRITE: WRITERS,
    Right.PROVINCE: PROVINCIAL,
    Right.ADMINISTER: ADMINS,
}

WHO = {
    Right.READ: "everyone does",
    Right.WRITE: "admins and operators do",
    Right.PROVINCE: "the province's admins and operators do",
    Right.ADMINISTER: "admins do",
}


def rights_of(role: Role) -> frozenset[Right]:
    return frozenset(right for right, holders in HOLDERS.items() if role in holders)
