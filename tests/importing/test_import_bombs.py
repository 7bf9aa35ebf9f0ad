"""A small file that swells is refused, and what parses files may die alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.importing import limited_process, sheets
from app.importing.limited_process import Limits
from tests.conftest import Cast
from tests.importing import limited_work
from tests.importing.bombs import SWELLING
from tests.support.imports import HEADER, MUARA, dry_run, upload

READ = """
import sys, time
from pathlib import Path
from app.core.errors import Invalid
from app.importing import sheets
try:
    print("read", len(sheets.read(Path(sys.argv[1]).read_bytes()).rows))
except Invalid as error:
    print(error.faults[0].code)
print(int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) // 1024)
print(int(time.process_time()))
"""
MEMORY_MB, CPU_S = 400, 20


@pytest.mark.parametrize("name", SWELLING)
def test_a_file_that_swells_is_refused_before_it_takes_memory(name: str, tmp_path: Path) -> None:
    file = tmp_path / "bomb.xlsx"
    file.write_bytes(SWELLING[name]())
    read = subprocess.run([sys.executable, "-c", READ, file], capture_output=True, text=True, check=True, timeout=120)
    code, memory_mb, cpu_s = read.stdout.split("\n")[:3]
    is_cut = name == "deflate with a false size"  # what it declares is read, and no more
    assert code in ({"read 1"} if is_cut else {"too_much_inside", "broken_workbook"})
    assert int(memory_mb) < MEMORY_MB
    assert int(cpu_s) < CPU_S


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
