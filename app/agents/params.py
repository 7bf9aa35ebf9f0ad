"""Path and query parameters of agents and enrolments."""

from typing import Annotated

from fastapi import Depends, Path, Query

from app.agents.models import AgentKind
from app.core.errors import Fault, Invalid
from app.core.validation import MESSAGES

EnrolmentCode = Annotated[str, Path(max_length=40, description="the enrolment code", examples=["K7QX2MRD"])]
OptionalKind = Annotated[AgentKind | None, Query(description="platform of the device")]


def required_kind(
    kind: Annotated[
        AgentKind | None, Query(description="required: platform of the device", examples=["openwrt"])
    ] = None,
) -> AgentKind:
    """Raises Invalid, with the possible values, if `kind` is missing."""
    if kind is None:
        raise Invalid(
            Fault("kind", "missing", MESSAGES["missing"], "One of: {kinds}", values={"kinds": ", ".join(AgentKind)})
        )
    return kind


RequiredKind = Annotated[AgentKind, Depends(required_kind)]
