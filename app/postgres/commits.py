"""What a commit came to. PostgreSQL's own answer is not always the whole of it:

- The connection ends, or time runs out, between COMMIT and its answer: it may be committed or not.
- The wait for a synchronous standby is cancelled (by an administrator, or a shutdown): PostgreSQL answers COMMIT with
  success and a WARNING. What was written stands on this server alone, and is gone if another takes over.
- COMMIT of a transaction in which a statement failed is a rollback, answered with success.

The first two raise SQLSTATE 08007, transaction resolution unknown, and nobody is told of success.
"""

from typing import Any

import asyncpg

UNKNOWN = "08007"
WARNING = "01000"
# Classes of an error that is an answer of the server's about this COMMIT: it was not carried out
CERTAIN_CLASSES = ("22", "23", "25", "27", "40", "42", "44", "53", "54", "57014", "P0")
UNCERTAIN = "40003"  # statement completion unknown


class CommitAwareConnection(asyncpg.Connection):
    """Raises TransactionResolutionUnknownError for a COMMIT whose outcome is unknown, and closes then."""

    begins_with = ""  # statements that are sent along with BEGIN

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_warned = False
        self.add_log_listener(self._on_message)

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        if query == "COMMIT;":
            return await self._commit(query, timeout)
        if self.begins_with and query.startswith("BEGIN"):
            query += self.begins_with
        return await super().execute(query, *args, timeout=timeout)

    async def _commit(self, query: str, timeout: float | None) -> str:
        self._is_warned = False
        try:
            status = await super().execute(query, timeout=timeout)
        except Exception as error:
            if _is_certain(error):
                raise
            self._raise_unknown(error)
        if self._is_warned:
            self._raise_unknown(None)
        if status == "ROLLBACK":
            raise asyncpg.InFailedSQLTransactionError("a statement of this transaction failed: it was rolled back")
        return status

    def _raise_unknown(self, cause: Exception | None) -> None:
        self.terminate()
        raise asyncpg.TransactionResolutionUnknownError("it is not known whether this was committed") from cause

    def _on_message(self, _: object, message: Any) -> None:
        self._is_warned |= message.sqlstate == WARNING


def _is_certain(error: Exception) -> bool:
    state = str(getattr(error, "sqlstate", None) or "")
    return state.startswith(CERTAIN_CLASSES) and state != UNCERTAIN


def limited_by(query_s: int) -> type[CommitAwareConnection]:
    """Return connections that set statement_timeout in each transaction: behind a pooler no session is ours."""
    limit = f"SET LOCAL statement_timeout={query_s * 1000};"
    return type("PooledConnection", (CommitAwareConnection,), {"begins_with": limit})
