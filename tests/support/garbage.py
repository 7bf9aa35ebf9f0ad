"""Fewer passes of the garbage collector (a plugin): what is imported and collected stays to the end, half a million
objects, and at the default threshold of 700 new ones a tenth of all processor time goes into looking through them."""

import gc

gc.set_threshold(50_000, 20, 20)  # before conftest.py imports the app


def pytest_collection_finish() -> None:
    """Leave out of every later pass what is there when the first test begins."""
    gc.freeze()
