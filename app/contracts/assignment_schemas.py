from datetime import date, datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.contracts.term_types import Day, Rupiah
from app.core.errors import Fault
from app.core.validation import FaultError
from app.registry.models import LinkRole
from app.registry.schemas import Ident, Note

MAX_SITES = 300  # in one request
FROM = "the first day (WITA) under the contract"
TO = "the first day (WITA) no longer under it; null: as long as the contract is valid"
FEE = "of a month, before tax, in rupiah, for this site; null: as the contract's terms say"
REASON = "required if days before today change; recorded and audited"


class SiteAssignmentIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"site": "64.02.05.2003-01", "from": "2026-10-01"}]}
    )

    site: Annotated[Ident, Field(description="the site's id, or its code", examples=["64.02.05.2003-01"])]
    from_: Day = Field(alias="from", description=FROM, examples=["2026-10-01"])
    to: Annotated[Day, Field(description=TO, examples=["2027-01-01"])] | None = None
    link_role: LinkRole | None = Field(
        None, description="which link of the site; null: the site's own role", examples=["primary"]
    )
    monthly_fee_idr: Annotated[Rupiah, Field(description=FEE, examples=[4_500_000])] | None = None


class SiteAssignmentsIn(BaseModel):
    """One site or many, all or nothing."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "sites": [{"site": "64.02.05.2003-01", "from": "2026-10-01", "to": None}],
                    "reason": "Adendum 2: tercantum sejak Oktober",
                }
            ]
        },
    )

    sites: Annotated[
        list[SiteAssignmentIn], Field(min_length=1, max_length=MAX_SITES, description="the sites and their days")
    ]
    reason: Annotated[Note, Field(description=REASON, examples=["Adendum 2"])] | None = None


class SiteAssignmentPatch(BaseModel):
    """Only given fields change; `to` null: as long as the contract is valid."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"to": "2026-11-01", "reason": "Dialihkan ke Telkomsat per 1 November"}]},
    )

    from_: Day | None = Field(None, alias="from", description=FROM, examples=["2026-10-01"])
    to: Annotated[Day, Field(description=TO, examples=["2026-11-01"])] | None = None
    monthly_fee_idr: Annotated[Rupiah, Field(description=FEE, examples=[4_500_000])] | None = None
    reason: Annotated[Note, Field(description=REASON, examples=["Adendum 2"])] | None = None

    @model_validator(mode="after")
    def _never_null(self) -> Self:
        if "from_" in self.model_fields_set and self.from_ is None:
            raise FaultError(Fault("from", "null", "This field cannot be emptied", "Leave it out to keep it"))
        return self


OUT_EXAMPLE: dict[str, Any] = {
    "id": 91,
    "contract_id": 7,
    "contract": "027/1123/DISKOMINFO/2026",
    "provider": "telkom-wms",
    "site_id": 512,
    "site": "64.02.05.2003-01",
    "name": "Kantor Desa Muara Badak Ulu",
    "village_code": "64.02.05.2003",
    "link_role": "primary",
    "from": "2026-10-01",
    "to": None,
    "valid_from": "2026-10-01",
    "valid_to": "2027-01-01",
    "monthly_fee_idr": 4_500_000,
    "reason": "Adendum 2: tercantum sejak Oktober",
    "recorded_at": "2026-11-02T01:20:00Z",
    "recorded_by": "sari",
    "changed_at": None,
    "changed_by": None,
    "withdrawn_at": None,
    "version": 1044,
}


class SiteAssignmentOut(BaseModel):
    """A site's days under a contract."""

    model_config = ConfigDict(json_schema_extra={"examples": [OUT_EXAMPLE]})

    id: int = Field(description="the assignment's id", examples=[91])
    contract_id: int = Field(description="the contract's id", examples=[7])
    contract: str = Field(description="the contract's number", examples=["027/1123/DISKOMINFO/2026"])
    provider: str = Field(description="the slug of the contract's provider", examples=["telkom-wms"])
    site_id: int = Field(description="the site's id", examples=[512])
    site: str = Field(description="the site's code", examples=["64.02.05.2003-01"])
    name: str = Field(description="the site's name", examples=["Kantor Desa Muara Badak Ulu"])
    village_code: str = Field(description="of the site's village", examples=["64.02.05.2003"])
    link_role: LinkRole = Field(description="which link of the site the contract is about", examples=["primary"])
    from_: date = Field(alias="from", description=FROM, examples=["2026-10-01"])
    to: date | None = Field(description=TO, examples=["2027-01-01"])
    valid_from: date | None = Field(
        description="`from`, or the contract's first day where that is later: what counts begins there; null: the "
        "contract is not valid on any of these days",
        examples=["2026-10-01"],
    )
    valid_to: date | None = Field(
        description="`to`, or the contract's end where that is earlier; null: open-ended", examples=["2027-01-01"]
    )
    monthly_fee_idr: int | None = Field(description=FEE, examples=[4_500_000])
    reason: str | None = Field(description="given with its last change", examples=["Adendum 2"])
    recorded_at: datetime = Field(description="when it was first recorded", examples=["2026-11-02T01:20:00Z"])
    recorded_by: str | None = Field(description="who recorded it; null to a provider", examples=["sari"])
    changed_at: datetime | None = Field(
        description="when it was last moved or taken back", examples=["2026-11-03T01:20:00Z"]
    )
    changed_by: str | None = Field(description="who did that; null to a provider", examples=["sari"])
    withdrawn_at: datetime | None = Field(
        description="when it was taken back: it counts as if it had never been", examples=["2026-11-03T01:20:00Z"]
    )
    version: int = Field(description="opaque; send it back as If-Match", examples=[1044])


class SiteAssignmentsOut(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [OUT_EXAMPLE]}]})

    items: list[SiteAssignmentOut] = Field(description="what was recorded, in the order of the request")
