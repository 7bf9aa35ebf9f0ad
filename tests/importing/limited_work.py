"""What a limited process is made to do in tests; it loads them from here."""

import os
import time
import warnings
from fractions import Fraction


def count(data: bytes, *, times: int = 1) -> int:
    return times * len(data)


def take_memory(data: bytes) -> int:
    return len([bytes(2**20) for _ in range(10_000)])


def compute(data: bytes) -> None:
    while True:
        pass


def sleep(data: bytes) -> None:
    time.sleep(60)


def crash(data: bytes) -> None:
    os.abort()


def fail(data: bytes) -> None:
    raise KeyError(data)


def warn(data: bytes) -> str:
    warnings.warn(data.decode(), stacklevel=1)
    os.write(2, data)
    return os.readlink("/proc/self/fd/2")


def return_what_is_no_value(data: bytes) -> Fraction:
    return Fraction(1, 2)
