"""What the command line prints, to a reader that may have gone, and how it names a missing database."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from app.cli.main import app
from app.settings import ROOT
from tests.conftest import drop_database, make_database


@pytest.fixture
async def migrated_url(server_url: str, migrated_template: str) -> AsyncIterator[str]:
    url = await make_database(server_url, migrated_template)
    yield url
    await drop_database(url, server_url)


def run_into_closed_pipe(*words: str, **environment: str) -> tuple[int, str]:
    """Run a command whose reader is gone before it prints anything; return exit code and standard error."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = subprocess.run(
            [sys.executable, "-m", "app.cli", *words],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    return process.returncode, process.stderr


async def test_status_into_a_closed_pipe_ends_quietly_as_other_tools_do(migrated_url: str) -> None:
    for words in (("status",), ("status", "--watch")):
        assert run_into_closed_pipe(*words, SINYAL_DATABASE_URL=migrated_url) == (-signal.SIGPIPE, "")


def test_ping_into_a_closed_pipe_ends_quietly_as_other_tools_do() -> None:
    assert run_into_closed_pipe("ping", "-c", "1", "-t", "0.1", "127.0.0.1") == (-signal.SIGPIPE, "")


def test_a_service_goes_on_when_nobody_reads_its_output_any_more() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    program = "import sys\nfrom app.cli.context import announce\nfor n in range(3): announce('ready')\nsys.exit(7)"
    process = subprocess.run(
        [sys.executable, "-c", program], stdout=writing, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False
    )
    os.close(writing)
    assert (process.returncode, process.stderr) == (7, "")


def test_a_missing_database_is_named_by_its_absolute_folder_and_what_to_set(tmp_path: Path) -> None:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SINYAL_")}
    process = subprocess.run(
        [sys.executable, "-m", "app.cli", "status"],
        cwd=tmp_path,
        env=ours | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stderr.count("\n")) == (2, 1)
    assert str(tmp_path.resolve() / "var") in process.stderr
    assert "SINYAL_DATA_DIR" in process.stderr
    assert "SINYAL_DATABASE_URL" in process.stderr


def commands(group: TyperGroup) -> Iterator[Any]:
    for command in group.commands.values():
        if isinstance(command, TyperGroup):
            yield from commands(command)
        yield command


def test_every_command_argument_and_option_is_described() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    undescribed = [
        f"{command.name} {parameter.name}"
        for command in commands(group)
        for parameter in command.params
        if not parameter.help
    ]
    assert undescribed == []
    assert [command.name for command in commands(group) if not command.help] == []
