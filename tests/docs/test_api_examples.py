"""docs/api.md says that its examples are run: here they are, pasted into a shell and into Node.js."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.access import api_tokens
from app.access.models import Role
from app.access.scope import Caller
from app.postgres.engine import open_engine, open_sessions, transaction
from app.registry import providers
from app.registry import store as registry
from app.registry.schemas import SiteIn
from app.runtime.migrate import migrate
from app.settings import ROOT
from probes.policy import AddressPolicy
from tests.conftest import drop_database, make_database
from tests.factories import site
from tests.support.demo_process import wait_for
from tests.support.killing import Api

EXAMPLES = re.findall(r"^```(sh|js)\n(.*?)^```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL | re.MULTILINE)
NODE = ["node", "--experimental-eventsource", "--input-type=module", "-e"]
ENDS = "\nsetTimeout(() => process.exit(), 2000);"  # streams do not


@pytest.fixture(scope="module")
def environment(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A service with one site, and a token for it."""
    folder = tmp_path_factory.mktemp("examples")
    url = asyncio.run(make_database(server_url))
    token = asyncio.run(_fill(url))
    api = Api(url, folder / "data")
    try:
        api.start()
        wait_for(lambda: httpx.get(f"{api.url}/readyz", trust_env=False).is_success, 120)
        yield os.environ | {"SINYAL": api.url, "TOKEN": token}
    finally:
        api.close()
        asyncio.run(drop_database(url, server_url))


async def _fill(url: str) -> str:
    engine = open_engine(url, name="test")
    await migrate(engine)
    async with transaction(open_sessions(engine)) as session:
        await providers.ensure_providers(session, {"telkom-wms": "Telkom WMS"})
        province = Caller(None, "test", Role.PROVINCE_ADMIN, "64")
        await registry.create_site(session, SiteIn(**site()), caller=province, policy=AddressPolicy())
        token = await api_tokens.create_token(session, name="test", role=Role.PROVINCE_ADMIN)
    await engine.dispose()
    return token


@pytest.mark.parametrize(("language", "example"), EXAMPLES)
def test_an_example_does_what_it_says(language: str, example: str, environment: dict[str, str], tmp_path: Path) -> None:
    if language == "js" and shutil.which("node") is None:
        pytest.skip("Node.js is not installed: apt-get install nodejs")
    command = ["bash", "-euc", example] if language == "sh" else [*NODE, example + ENDS]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 0, ended.stderr
    if "EventSource" in example:
        assert ended.stdout == "Muara Badak Ulu: unknown\n"
    elif "/stream" in example:
        assert "event: snapshot" in ended.stdout
    elif "%{http_code}" in example:
        assert ended.stdout == "304\n"
    elif language == "js":
        assert ended.stdout == "[]\n"
    elif " -o " not in example:
        assert ended.stdout.startswith("{")


def test_every_question_has_its_example() -> None:
    assert len(EXAMPLES) >= 16
