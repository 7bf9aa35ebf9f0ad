"""The data dictionary: what each column of a table means, in which unit, by which reference."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from app.core.tabular import Cell
from app.registry.columns import SITE_COLUMNS, Column

HEADER = ("Kolom", "Field", "Arti", "Meaning", "Satuan / unit", "Rujukan / reference")


class ColumnOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    field: str = Field(examples=["latitude"], description="its name in the API, and in English exports")
    indonesian: str = Field(examples=["Lintang"], description="its header in Indonesian exports and in the template")
    meaning: str
    arti: str = Field(description="the meaning in Bahasa Indonesia")
    unit: str | None
    reference: str | None = Field(description="where its values come from")
    personal: bool = Field(description="personal data: exported on request, to those who may see it")


def rows(columns: Sequence[Column] = SITE_COLUMNS) -> list[list[Cell]]:
    """In the order of HEADER."""
    return [[c.indonesian, c.field, c.arti, c.meaning, c.unit, c.reference] for c in columns]
