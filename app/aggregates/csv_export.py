"""Aggregates as CSV: the JSON's rows under the JSON's names, nested fields prefixed by their parent (`seconds_up`).

The total is the last row: it is no average of the rows above it. The column `row` tells them apart.
"""

from datetime import datetime
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from app.core.tabular import BOM, Cell, Separator, csv_text
from app.registry.models import Cause

Row = dict[str, Cell]


def series_csv(response: Any, separator: Separator) -> bytes:
    """Serialize a response with `series` and `total`; `sites` stands in the total where only the whole has it."""
    rows = [_labelled("part", row) for row in response.series]
    total = _labelled("total", response.total)
    if "sites" in type(response).model_fields:
        rows, total = [row | {"sites": None} for row in rows], total | {"sites": response.sites}
    return csv(list(total), [*rows, total], separator)


def items_csv(response: Any, separator: Separator) -> bytes:
    """Serialize the `items` of a response, without a total."""
    (model,) = get_args(type(response).model_fields["items"].annotation)
    return csv(list(flatten(model, None)), [flatten(model, item) for item in response.items], separator)


def _labelled(label: str, row: BaseModel) -> Row:
    return {"row": label, **flatten(type(row), row)}


def flatten(model: type[BaseModel], value: Any, prefix: str = "") -> Row:
    """Return a cell for each plain field of the model, in its order; all are None where the value is None.

    Lists are left out: they are rows of their own.
    """
    row: Row = {}
    for name, field in model.model_fields.items():
        if get_origin(field.annotation) is list:
            continue
        inner = None if value is None else getattr(value, name)
        nested = _nested_model(field.annotation)
        if nested is not None:
            row |= flatten(nested, inner, f"{prefix}{name}_")
        elif name == "down_by_cause":
            row |= {
                f"{prefix}down_{cause.value}_s": None if inner is None else inner.get(cause.value, 0) for cause in Cause
            }
        else:
            row[prefix + name] = cell(inner)
    return row


def _nested_model(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a field holds, also an optional one; None for a plain field."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def cell(value: Any) -> Cell:
    """Return the value as the JSON has it."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    plain: Cell = value
    return plain


def csv(columns: list[str], rows: list[Row], separator: Separator) -> bytes:
    return (BOM + csv_text([columns, *(list(row.values()) for row in rows)], separator)).encode()
