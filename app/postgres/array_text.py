"""Columns of numbers as PostgreSQL reads an array: one parameter, where a bound array is checked element by element."""

from typing import Any

import orjson
from numpy import ascontiguousarray
from numpy.typing import NDArray


def array_text(column: NDArray[Any]) -> str:
    """Return what `cast(cast(:column AS text) AS int[])` reads, of any type of number; NaN is read as NULL."""
    return "{" + orjson.dumps(ascontiguousarray(column), option=orjson.OPT_SERIALIZE_NUMPY).decode()[1:-1] + "}"
