"""The data dictionary: meaning, unit and reference of each column of a site table."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.core.tabular import Cell
from app.registry.spreadsheet_columns import EXPORT_COLUMNS, SheetColumn

HEADER = ("Kolom", "Field", "Arti", "Meaning", "Satuan / unit", "Rujukan / reference")


LATITUDE: dict[str, Any] = {
    "field": "latitude",
    "indonesian": "Lintang",
    "meaning": "latitude of the equipment",
    "arti": "garis lintang perangkat",
    "unit": "degree",
    "reference": "WGS 84 (EPSG:4326)",
    "personal": False,
}


class ColumnOut(BaseModel):
    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [LATITUDE]})

    field: str = Field(description="name in the API and in English exports")
    indonesian: str = Field(description="header in Indonesian exports and in the template")
    meaning: str = Field(description="meaning in English")
    arti: str = Field(description="meaning in Bahasa Indonesia")
    unit: str | None = Field(description="unit of its values; null: none")
    reference: str | None = Field(description="source of the values")
    personal: bool = Field(description="personal data: exported on request, for callers who may see it")


def rows(columns: Sequence[SheetColumn] = EXPORT_COLUMNS) -> list[list[Cell]]:
    """Return one row for each column, in the order of HEADER."""
    return [
        [column.indonesian, column.field, column.arti, column.meaning, column.unit, column.reference]
        for column in columns
    ]
