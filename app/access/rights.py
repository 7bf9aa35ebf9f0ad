"""Which rights each role has; `scope` limits them to a region and a provider."""

from enum import StrEnum

from app.access.models import ADMINS, PROVINCIAL, WRITERS, Role


class Right(StrEnum):
    """`read`: everything within the scope; `write`: register, edit, import, acknowledge, plan maintenance; `province`:
    change what all districts share (providers, contracts, drafts of reports); `issue`: issue reports; `probers`: name
    vantages, create and revoke probers; `administer`: accounts, tokens, the audit log.
    """

    READ = "read"
    WRITE = "write"
    PROVINCE = "province"
    ISSUE = "issue"
    PROBERS = "probers"
    ADMINISTER = "administer"


HOLDERS: dict[Right, frozenset[Role]] = {
    Right.READ: frozenset(Role),
    Right.WRITE: WRITERS,
    Right.PROVINCE: PROVINCIAL,
    Right.ISSUE: frozenset({Role.PROVINCE_ADMIN}),
    Right.PROBERS: frozenset({Role.PROVINCE_ADMIN}),
    Right.ADMINISTER: ADMINS,
}

REFUSALS = {
    Right.READ: "Role {role} may not read",
    Right.WRITE: "Role {role} may not do this: only admins and operators may",
    Right.PROVINCE: "Role {role} may not do this: only the province's admins and operators may",
    Right.ISSUE: "Role {role} may not do this: only the province's admins may",
    Right.PROBERS: "Role {role} may not do this: only the province's admins may",
    Right.ADMINISTER: "Role {role} may not do this: only admins may",
}


def rights_of(role: Role) -> frozenset[Right]:
    return frozenset(right for right, holders in HOLDERS.items() if role in holders)
