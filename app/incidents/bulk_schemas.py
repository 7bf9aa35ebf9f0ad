"""The body of `PATCH /incidents`, and what it answers."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from app.core.errors import Fault
from app.core.validation import FaultError, reject_nul
from app.incidents.bulk_patch import MAX_INCIDENTS, PatchResult
from app.incidents.models import IncidentKind, IncidentStatus
from app.incidents.schemas import IncidentPatch
from app.profiles import Technology
from app.registry.models import Cause
from app.web.params import Several
from app.web.period_params import MAX_TIME
from app.web.problem_schemas import FaultOut

RowNumber = Annotated[int, Field(gt=0, lt=2**31, strict=True)]
Moment = Annotated[str, Field(max_length=MAX_TIME)]

EXAMPLE: dict[str, Any] = {
    "filter": {"region": ["64.02"], "provider": ["telkom-wms"], "period": "24h", "status": ["open"]},
    "changes": {"status": "acknowledged", "cause": "power", "ticket_no": "T-2026-118"},
    "dry_run": True,
}
RESULT: dict[str, Any] = {
    "dry_run": True,
    "matched": 1,
    "changed": 1,
    "unchanged": 0,
    "refused": 0,
    "incidents": [
        {
            "id": 71,
            "result": "changed",
            "before": {"ticket_no": None},
            "after": {"ticket_no": "T-2026-118"},
            "errors": [],
        }
    ],
}


class IncidentFilterIn(BaseModel):
    """As the query parameters of `GET /incidents`; several values as a list, or separated by commas."""

    model_config = ConfigDict(
        extra="forbid", coerce_numbers_to_str=True, json_schema_extra={"examples": [EXAMPLE["filter"]]}
    )

    status: Several[IncidentStatus] = ()
    kind: Several[IncidentKind] = ()
    cause: Several[Cause] = ()
    from_: Moment | None = Field(None, alias="from", description="incidents that reach beyond this moment")
    to: Moment | None = Field(None, description="incidents that began before it")
    period: Moment | None = Field(None, description="instead of from and to: `24h`, `7d` or `2026-11`")
    region: Several[Annotated[str, Field(max_length=13), AfterValidator(reject_nul)]] = Field(
        (), description="Kemendagri codes"
    )
    provider: Several[Annotated[str, Field(max_length=100), AfterValidator(reject_nul)]] = Field(
        (), description="ids or slugs"
    )
    technology: Several[Technology] = ()
    site: Annotated[str, Field(max_length=60), AfterValidator(reject_nul)] | None = Field(
        None, description="its id, or its code", examples=["64.02.05.2003-01"]
    )

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise FaultError(
                Fault(
                    "filter",
                    "empty",
                    "The filter is empty: it would match every incident",
                    "Give at least one of its fields",
                )
            )
        return self


class IncidentsPatch(BaseModel):
    """Which incidents to change, by `ids` or by `filter`, and how."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    ids: list[RowNumber] | None = Field(
        None, min_length=1, max_length=MAX_INCIDENTS, description="ids of the incidents", examples=[[71, 72]]
    )
    filter: IncidentFilterIn | None = Field(None, description="which incidents, instead of ids")
    changes: IncidentPatch = Field(description="what changes in each of them")
    dry_run: bool = Field(False, description="answer what would change, and change nothing")
    expected_count: int | None = Field(
        None, ge=0, description="`matched` of the dry run: 412 if as many no longer match", examples=[1]
    )

    @model_validator(mode="after")
    def _selects_one_way(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise FaultError(Fault("filter", "ids_or_filter", "Give either ids or a filter"))
        return self


class PatchedIncidentOut(BaseModel):
    id: int
    result: PatchResult = Field(description="changed, unchanged (all is as wanted already), or refused (see `errors`)")
    before: dict[str, Any] = Field(description="of the fields that change")
    after: dict[str, Any]
    errors: list[FaultOut] = Field(description="why it is refused")


class BulkPatchOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [RESULT]})

    dry_run: bool = Field(description="whether nothing was to be changed")
    matched: int = Field(description="incidents that the ids or the filter name")
    changed: int = Field(description="those that change")
    unchanged: int = Field(description="those that are as wanted already")
    refused: int = Field(description="one is enough for none to be changed")
    incidents: list[PatchedIncidentOut] = Field(description="each of them, by id")
