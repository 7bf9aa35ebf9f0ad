"""Path, query and header parameters that routes of several rooms share, and the check of all query parameters."""

import re
from collections import Counter
from typing import Annotated, TypeVar, get_origin

from fastapi import Depends, Header, Path, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import AfterValidator, BeforeValidator, Field

from app.core.errors import Fault, Invalid, NotFound
from app.core.validation import MAX_GIVEN, MAX_SUGGESTIONS, MESSAGES, closest

MAX_LIMIT = 1000
MAX_SEVERAL = 50

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="how many items a page holds", examples=[100])]
Cursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before", examples=["NTEy"])]
IfMatch = Annotated[str | None, Header(max_length=60, description="the `version` that you saw", examples=['"1040"'])]
MAX_ID = 60  # characters of an id or a code in a path


def _split(given: object) -> list[object]:
    """Return the values of `down,degraded`, of a repeated parameter, or of a JSON list."""
    texts = given if isinstance(given, list | tuple) else [given]
    return [
        word for text in texts for word in ([w.strip() for w in text.split(",")] if isinstance(text, str) else [text])
    ]


def _distinct(values: tuple[T, ...]) -> tuple[T, ...]:
    """Return each value once, in order: whatever caches by a filter treats equal sets alike."""
    return tuple(sorted(set(values)))  # type: ignore[type-var]  # texts, as query parameters are


# The values that a filter takes, any of which may match; () filters nothing.
Several = Annotated[tuple[T, ...], Field(max_length=MAX_SEVERAL), BeforeValidator(_split), AfterValidator(_distinct)]
SEVERAL = "one or several, separated by commas or repeated"


def row_id(text: str) -> int:
    """Parse the id of a row, in a path or a cursor. Raises ValueError."""
    number = int(text)
    if not 0 < number < 2**31:
        raise ValueError(text)
    return number


async def path_id(id: Annotated[str, Path(max_length=MAX_ID, description="an integer", examples=["7"])]) -> int:
    """Raises NotFound for text that no row can have as its id, as for any other unknown id."""
    try:
        return row_id(id)
    except ValueError:
        raise NotFound("There is no {given} within your scope", values={"given": id}) from None


RowId = Annotated[int, Depends(path_id)]


def read_version(if_match: str | None) -> int | None:
    """Parse If-Match; None: any version will do. Raises Invalid."""
    if if_match is None or if_match == "*":
        return None
    text = if_match.removeprefix("W/").strip('"')
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise Invalid(
            Fault(
                "If-Match",
                "bad_version",
                "{given} is not a version",
                "Send back `version` as you got it",
                values={"given": if_match[:40]},
            )
        )
    return int(text)


def _query_parameters(dependant: Dependant) -> dict[str, bool]:
    """By name: whether it takes several values."""
    own = {one.alias: get_origin(one.field_info.annotation) is tuple for one in dependant.query_params}
    for below in dependant.dependencies:
        own |= _query_parameters(below)
    return own


async def check_parameters(request: Request) -> None:
    """Raises Invalid for a query parameter that is unknown or repeated, and for a NUL: PostgreSQL stores none."""
    route = request.scope.get("route")
    known = _query_parameters(route.dependant) if isinstance(route, APIRoute) else {}
    faults: list[Fault] = []
    for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            near = closest(name, list(known)) if len(faults) < MAX_SUGGESTIONS else None
            faults.append(
                Fault(
                    name[:MAX_GIVEN],
                    "unknown_parameter",
                    "Unknown parameter {given}",
                    "Did you mean {near}?" if near else "Parameters here: {known}",
                    values={"given": name[:40], "near": near, "known": ", ".join(known)},
                )
            )
        elif times > 1 and not known[name]:
            faults.append(Fault(name, "repeated", "This parameter is repeated", "Send it once"))
    for name, value in (*request.path_params.items(), *request.query_params.multi_items()):
        if "\0" in value:
            faults.append(Fault(name, "nul", MESSAGES["nul"], "Remove it"))
    if faults:
        raise Invalid(*faults)
