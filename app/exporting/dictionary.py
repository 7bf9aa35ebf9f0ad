"""The data dictionary: meaning, unit and reference of each column of a site table."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from app.core.tabular import Cell
from app.registry.spreadsheet_columns import SITE_COLUMNS, Column

HEADER = ("Kolom", "Field", "Arti", "Meaning", "Satuan / unit", "Rujukan / reference")


class ColumnOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    field: str = Field(examples=["latitude"], description="name in the API and in English exports")
    indonesian: str = Field(examples=["Lintang"], description="header in Indonesian exports and in the template")
    meaning: str
    arti: str = Field(description="meaning in Bahasa Indonesia")
    unit: str | None
    reference: str | None = Field(description="source of the values")
    personal: bool = Field(description="personal data: exported on request, for callers who may see it")


def rows(columns: Sequence[Column] = SITE_COLUMNS) -> list[list[Cell]]:
    """Return one row for each column, in the order of HEADER."""
    return [
        [column.indonesian, column.field, column.arti, column.meaning, column.unit, column.reference]
        for column in columns
    ]
