"""A process that parses a file ends at its limits, and the one that waits for it goes on."""

import multiprocessing
import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import Invalid
from app.importing import limited_process
from app.importing.limited_process import Limits, ProcessFailed, run
from tests.importing import limited_work


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(limited_process, "LIMITS", Limits(memory_bytes=300 * 2**20, cpu_s=1, wall_s=5))
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    return path


def test_the_result_comes_back(file: Path) -> None:
    assert run(limited_work.count, file, times=2) == 6


@pytest.mark.parametrize(
    "work", [limited_work.take_memory, limited_work.compute, limited_work.sleep, limited_work.crash]
)
def test_a_process_beyond_its_limits_dies_alone_and_leaves_nothing(work: Callable[[bytes], Any], file: Path) -> None:
    began = time.monotonic()
    with pytest.raises(Invalid) as refused:
        run(work, file)
    assert [fault.code for fault in refused.value.faults] == ["too_much_inside"]
    assert time.monotonic() - began < 30
    assert not multiprocessing.active_children()
    assert run(limited_work.count, file) == 3


def test_a_defect_is_no_fault_of_the_file_and_its_text_stays_in_the_process(file: Path) -> None:
    with pytest.raises(ProcessFailed) as failed:
        run(limited_work.fail, file)
    assert str(failed.value).startswith("KeyError in ")
    assert "abc" not in str(failed.value)


def test_what_the_process_prints_reaches_no_log(file: Path) -> None:
    """openpyxl quotes a cell that is formatted as a date but holds a telephone number."""
    assert run(limited_work.warn, file) == os.devnull


def test_only_plain_values_are_taken_from_the_process(file: Path) -> None:
    with pytest.raises(pickle.UnpicklingError):
        run(limited_work.return_what_is_no_value, file)
