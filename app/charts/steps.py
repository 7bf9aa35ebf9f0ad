"""Lines and bands of steps: what was measured holds for its own stretch, and nothing is drawn where there was none."""

from collections.abc import Iterable, Iterator, Sequence

from app.charts.svg import decimal

Step = tuple[float, float, float | None]  # from x to x, y; None where there is none
Band = tuple[float, float, float | None, float | None]  # from x to x, upper y, lower y


def step_line(steps: Iterable[Step]) -> str:
    """Return the path of a line, begun anew after each gap."""
    path, reached = [], None
    for x, until, y in steps:
        if y is None:
            reached = None
            continue
        path.append(f"{'V' if reached == x else f'M{decimal(x)} '}{decimal(y)}H{decimal(until)}")
        reached = until
    return "".join(path)


def step_band(steps: Iterable[Band]) -> str:
    """Return the path of the area between two lines, closed before each gap."""
    return "".join(f"{_there(piece)}{_back(piece)}Z" for piece in _pieces(steps))


def _pieces(steps: Iterable[Band]) -> Iterator[list[tuple[float, float, float, float]]]:
    piece: list[tuple[float, float, float, float]] = []
    for x, until, upper, lower in steps:
        if piece and (upper is None or lower is None or piece[-1][1] != x):
            yield piece
            piece = []
        if upper is not None and lower is not None:
            piece.append((x, until, upper, lower))
    if piece:
        yield piece


def _there(piece: Sequence[tuple[float, float, float, float]]) -> str:
    return f"M{decimal(piece[0][0])} {decimal(piece[0][2])}" + "".join(
        f"V{decimal(upper)}H{decimal(until)}" for _, until, upper, _ in piece
    )


def _back(piece: Sequence[tuple[float, float, float, float]]) -> str:
    return "".join(f"V{decimal(lower)}H{decimal(x)}" for x, _, _, lower in reversed(piece))
