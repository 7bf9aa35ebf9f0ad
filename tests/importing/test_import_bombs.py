"""A small file that swells is refused, and what parses files may die alone."""

import subprocess
import sys

import pytest

from app.importing import limited_process, sheets
from app.importing.limited_process import Limits
from tests.conftest import Cast
from tests.importing import limited_work
from tests.importing.bombs import SWELLING
from tests.support.imports import HEADER, MUARA, dry_run, upload

# Each file in a process of its own: what they need is imported once.
READ = """
import os, sys, time
from pathlib import Path
from app.core.errors import Invalid
from app.importing import sheets

def read(file):
    try:
        said = f"read {len(sheets.read(Path(file).read_bytes()).rows)}"
    except Invalid as error:
        said = error.faults[0].code
    memory = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) // 1024
    print(said, memory, int(time.process_time()), sep=",", flush=True)

for file in sys.argv[1:]:
    if not (child := os.fork()):
        read(file)
        os._exit(0)
    if status := os.waitpid(child, 0)[1]:
        print("died", status, status, sep=",", flush=True)
"""
MEMORY_MB, CPU_S = 400, 20


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, int, int]]:
    """Of each file what reading it gave, the megabytes that it took, and the seconds of CPU."""
    folder = tmp_path_factory.mktemp("bombs")
    files = [folder / f"{number}.xlsx" for number in range(len(SWELLING))]
    for file, make in zip(files, SWELLING.values(), strict=True):
        file.write_bytes(make())
    command = [sys.executable, "-c", READ, *map(str, files)]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120 * len(files)).stdout
    lines = (line.split(",") for line in output.splitlines())
    return {
        name: (said, int(memory_mb), int(cpu_s)) for name, (said, memory_mb, cpu_s) in zip(SWELLING, lines, strict=True)
    }


@pytest.mark.parametrize("name", SWELLING)
def test_a_file_that_swells_is_refused_before_it_takes_memory(
    name: str, readings: dict[str, tuple[str, int, int]]
) -> None:
    said, memory_mb, cpu_s = readings[name]
    is_cut = name == "deflate with a false size"  # what it declares is read, and no more
    assert said in ({"read 1"} if is_cut else {"too_much_inside", "broken_workbook"})
    assert memory_mb < MEMORY_MB
    assert cpu_s < CPU_S


async def test_a_file_beyond_the_limits_is_refused_over_the_api_and_the_next_is_imported(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(limited_process, "LIMITS", Limits(memory_bytes=512 * 2**20, cpu_s=1, wall_s=60))
        patched.setattr(sheets, "read", limited_work.compute)  # without end, as no file within the limits is any more
        answer = await upload(cast.ana, HEADER, dry_run=True)
    (fault,) = answer.json()["errors"]
    assert (answer.status_code, fault["field"], fault["code"]) == (422, "file", "too_much_inside")
    assert fault["suggestion"] == "Copy only the table into a new workbook"
    assert [row["verdict"] for row in await dry_run(cast.ana, HEADER, MUARA)] == ["create"]
