import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import text

from app.postgres.array_text import array_text
from app.postgres.engine import Sessions


@pytest.mark.parametrize(
    ("column", "kind", "read"),
    [
        (np.array([0, -1, 2**31 - 1], np.int32), "int", [0, -1, 2**31 - 1]),
        (np.array([-(2**63), 2**63 - 1], np.int64), "bigint", [-(2**63), 2**63 - 1]),
        (np.array([1, 2, 3, 4], np.int16)[::2], "int", [1, 3]),
        (np.array([0.1, 33.333332, np.nan], np.float32), "real", [0.1, 33.333332, None]),
        (np.zeros(0, np.int8), "int", []),
    ],
)
async def test_columns_of_numbers_are_read_as_arrays(
    sessions: Sessions, column: NDArray[np.int64], kind: str, read: list[float | None]
) -> None:
    async with sessions() as session:
        statement = text(f"SELECT cast(cast(:column AS text) AS {kind}[])")
        assert await session.scalar(statement, {"column": array_text(column)}) == pytest.approx(read)
