"""A network namespace for all tests of the simulator."""

from collections.abc import Iterator

import pytest

from simulator.namespace import Namespace, NamespaceUnavailable


@pytest.fixture(scope="session")
def namespace() -> Iterator[Namespace]:
    try:
        opened = Namespace.open()
    except NamespaceUnavailable as problem:
        pytest.skip(str(problem))
    with opened:
        yield opened
