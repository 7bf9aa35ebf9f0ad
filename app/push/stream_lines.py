"""Reads the lines that a device writes into its stream: its uptime in seconds. Pure."""

import re

MAX_LINE = 32  # bytes
MAX_LINES_A_MIN = 12
UPTIME = re.compile(rb"\d{1,10}(?:\.\d{1,9})?")


class BadLine(Exception):
    """What came is no line of an agent's, or more than one writes."""


class LineReader:
    def __init__(self, at: float) -> None:
        self._rest = b""
        self._since, self._lines = at, 0

    def read(self, data: bytes, at: float) -> list[float]:
        """Return the uptimes of the lines that are complete. Raises BadLine."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if at - self._since >= 60:
            self._since, self._lines = at, 0
        self._lines += len(lines)
        if self._lines > MAX_LINES_A_MIN or len(self._rest) > MAX_LINE:
            raise BadLine
        return [_uptime(line) for line in lines]


def _uptime(line: bytes) -> float:
    line = line.strip()
    if len(line) > MAX_LINE or UPTIME.fullmatch(line) is None:
        raise BadLine
    return float(line)
