"""What a production installation and its image install is what the service runs on, and no tool of its makers."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKED = re.compile(r"^([a-z0-9._-]+)==", re.MULTILINE)


def locked(name: str) -> set[str]:
    return set(LOCKED.findall((ROOT / name).read_text()))


def required(requirements: list[object]) -> set[str]:
    return {re.split(r"[\[ ~>=<]", text)[0] for text in requirements if isinstance(text, str)}


def test_the_image_installs_what_the_service_needs_and_no_tool_of_its_makers() -> None:
    (lock,) = re.findall(r"pip install .*-r (\S+)", (ROOT / "Dockerfile").read_text())
    groups = PYPROJECT["dependency-groups"]
    assert required(PYPROJECT["project"]["dependencies"]) | required(groups["build"]) <= locked(lock)
    assert not required(groups["dev"]) & locked(lock)
    assert {"pytest", "ruff", "mypy", "schemathesis", "hypothesis"} <= required(groups["dev"])


def test_tests_run_on_the_versions_that_production_has() -> None:
    pins = re.compile(r"^[a-z0-9._-]+==\S+", re.MULTILINE)
    production, development = (
        set(pins.findall((ROOT / name).read_text())) for name in ("requirements.lock", "requirements-dev.lock")
    )
    assert production <= development


def test_locks_have_hashes_and_no_index_address() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert all("--hash=sha256:" in entry for entry in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:])
