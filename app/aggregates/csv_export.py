"""Aggregates as CSV: the rows of the JSON with the same names, what lies within them named after both (`seconds_up`).

The total is the last row: what is above it cannot be averaged to it. The column `row` tells them apart.
"""

from datetime import datetime
from typing import Any, get_args

from pydantic import BaseModel

from app.core.tabular import BOM, Cell, Separator, csv_text
from app.registry.models import Cause

Row = dict[str, Cell]


def series(answer: BaseModel, separator: Separator) -> bytes:
    """Of an answer with `series` and `total`; where only the whole has `sites`, the total has them."""
    said: Any = answer
    rows = [_led("part", flat(type(one), one)) for one in said.series]
    total = _led("total", flat(type(said.total), said.total))
    if "sites" in type(said).model_fields:
        rows, total = [row | {"sites": None} for row in rows], total | {"sites": said.sites}
    return csv(list(total), [*rows, total], separator)


def items(answer: BaseModel, separator: Separator) -> bytes:
    """Of an answer with `items`: these alone, since no total is one of them."""
    said: Any = answer
    (model,) = get_args(type(said).model_fields["items"].annotation)
    return csv(list(flat(model, None)), [flat(model, one) for one in said.items], separator)


def _led(kind: str, row: Row) -> Row:
    return {"row": kind, **row}


def flat(model: type[BaseModel], value: Any, prefix: str = "") -> Row:
    """A column for each plain field; the same ones whatever is there."""
    row: Row = {}
    for name, field in model.model_fields.items():
        inside = None if value is None else getattr(value, name)
        below = _model(field.annotation)
        if below is not None:
            row |= flat(below, inside, f"{prefix}{name}_")
        elif name == "down_by_cause":
            row |= {
                f"{prefix}down_{cause.value}_s": None if inside is None else inside.get(cause.value, 0)
                for cause in Cause
            }
        else:
            row[prefix + name] = plain(inside)
    return row


def _model(annotation: Any) -> type[BaseModel] | None:
    """The one that it is, or may be beside None."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def plain(value: Any) -> Cell:
    """A moment as the JSON has it."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    plain: Cell = value
    return plain


def csv(columns: list[str], rows: list[Row], separator: Separator) -> bytes:
    return (BOM + csv_text([columns, *(list(row.values()) for row in rows)], separator)).encode()
