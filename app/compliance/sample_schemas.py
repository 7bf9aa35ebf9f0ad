"""A period's published seed and the sites that it draws."""

from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.core.moments import WitaMoment
from app.profiles import Technology

PUBLIC_TEXT = "2026-12-30 gempa M 4,1, 14:22:07 WIB, 2.31 LS 118.94 BT"
PUBLIC_SOURCE = "BMKG, gempa terakhir yang tercatat pada 30 Desember 2026"
SAMPLED: dict[str, Any] = {
    "site_id": 7,
    "code": "64.02.05.2003-01",
    "name": "Muara Kaman Ulu",
    "provider": "telkom-wms",
    "technology": "geo",
    "rank": 1,
    "of_sites": 212,
}
SAMPLE: dict[str, Any] = {
    "period": "2027-Q1",
    "method": "Metode v1",
    "public_text": PUBLIC_TEXT,
    "public_source": PUBLIC_SOURCE,
    "seed": "3f0c1d7a5c4f9e0e6a2b8d1f7c3a9e5b4d6f8a0c2e4b6d8f1a3c5e7b9d0f2a4c",
    "starts_on": "2027-01-01",
    "ends_on": "2027-04-01",
    "recorded_at": "2026-12-30T15:00:00+08:00",
    "sites": [SAMPLED],
}
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=8, max_length=200, pattern=r"^[^\r\n]*$")]


class SampleIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"period": "2027-Q1", "public_text": PUBLIC_TEXT, "public_source": PUBLIC_SOURCE}]
        },
    )

    period: str = Field(
        min_length=1, max_length=20, description="the month or the quarter that it is for", examples=["2027-Q1"]
    )
    public_text: Line = Field(
        description="what is hashed into the seed: one line that nobody could choose and everybody can look up",
        examples=[PUBLIC_TEXT],
    )
    public_source: Line = Field(
        description="where everybody finds that text; name it before the text exists", examples=[PUBLIC_SOURCE]
    )


class SampledSiteOut(BaseModel):
    """A drawn site, as it was configured when the seed was recorded."""

    model_config = ConfigDict(json_schema_extra={"examples": [SAMPLED]})

    site_id: int
    code: str
    name: str
    provider: str
    technology: Technology
    rank: int = Field(description="in which place it was drawn, from 1 on", examples=[1])
    of_sites: int = Field(
        description="how many sites of this provider and technology it was drawn from", examples=[212]
    )


class SampleOut(BaseModel):
    """A sample is never changed; its sites are those within your scope."""

    model_config = ConfigDict(json_schema_extra={"examples": [SAMPLE]})

    period: str = Field(description="the month or the quarter that it is for", examples=["2027-Q1"])
    method: str = Field(description="version of the method that it was drawn by", examples=["Metode v1"])
    public_text: str = Field(description="what was hashed into the seed", examples=[PUBLIC_TEXT])
    public_source: str = Field(description="where everybody finds that text", examples=[PUBLIC_SOURCE])
    seed: str = Field(
        description="SHA-256, in hex, of the lines method, period and public_text; of each provider and technology "
        "those sites are drawn whose SHA-256 of `<seed> <code>` is least",
        examples=[SAMPLE["seed"]],
    )
    starts_on: date = Field(description="first day (WITA) of the period", examples=["2027-01-01"])
    ends_on: date = Field(description="day (WITA) after its last", examples=["2027-04-01"])
    recorded_at: WitaMoment = Field(
        description="when the seed was recorded: at least a day before the period", examples=[SAMPLE["recorded_at"]]
    )
    sites: list[SampledSiteOut] = Field(description="the drawn sites, by provider, technology and rank")
