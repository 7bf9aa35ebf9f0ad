"""What problem details hold, without FastAPI: the command line reads files by the same schemas."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

TYPE_BASE = "https://sinyal-desa.id/problems/"

FAULT: dict[str, Any] = {
    "field": "village_code",
    "row": None,
    "code": "unknown_village",
    "message": "There is no village 64.02.05.9999 in Kalimantan Timur",
    "suggestion": "Look it up: GET /api/v1/regions?level=desa_kelurahan&q=<name>",
}


class FaultOut(BaseModel):
    """One wrong field, parameter or header."""

    model_config = ConfigDict(json_schema_extra={"examples": [FAULT]})

    field: str = Field(description="path of the field, or name of the parameter or header")
    row: int | None = Field(None, description="the row of a batch or a file, where there is one", examples=[14])
    code: str = Field(description="stable name of what is wrong with it")
    message: str = Field(description="what is wrong with it, in the caller's language")
    suggestion: str | None = Field(None, description="what to do about it, in the caller's language")


class ProblemOut(BaseModel):
    """RFC 9457 problem details. `type` and every `code` are stable; all texts are translated."""

    type: str = Field(description="URI that names the kind of problem", examples=[TYPE_BASE + "invalid"])
    title: str = Field(description="the kind of problem in words", examples=["Validation failed"])
    status: int = Field(description="the HTTP status again", examples=[422])
    detail: str | None = Field(None, description="what is wrong with this request", examples=["Wait for 12 s"])
    errors: list[FaultOut] = Field([], description="each wrong field, parameter or header; the first 50")
    errors_omitted: int | None = Field(None, description="how many more there are, where there are more", examples=[12])
