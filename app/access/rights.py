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

REFUSALS = {
    Right.READ: "Role {role} does not do this: everyone does",
    Right.WRITE: "Role {role} does not do this: admins and operators do",
    Right.PROVINCE: "Role {role} does not do this: the province's admins and operators do",
    Right.ADMINISTER: "Role {role} does not do this: admins do",
}


def rights_of(role: Role) -> frozenset[Right]:
    return frozenset(right for right, holders in HOLDERS.items() if role in holders)
