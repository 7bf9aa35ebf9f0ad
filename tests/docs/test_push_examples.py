"""docs/push.md says that its examples are run: here they are, pasted into a shell."""

import asyncio
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from app.access import api_tokens
from app.access.models import Role
from app.postgres.engine import open_engine, open_sessions, transaction
from app.push.rejections import REJECTION_MESSAGES
from app.settings import ROOT
from tests.support.killing import Api

PAGE = (ROOT / "docs" / "push.md").read_text()
EXAMPLES = re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def environment(apis: list[Api], fleet: tuple[str, list[str]]) -> dict[str, str]:
    async def token() -> str:
        engine = open_engine(fleet[0], name="test")
        async with transaction(open_sessions(engine)) as session:
            made = await api_tokens.create_token(session, name="examples", role=Role.VIEWER)
        await engine.dispose()
        return made

    return os.environ | {
        "SINYAL": apis[1].url,
        "DEVICE_TOKEN": fleet[1][-1],
        "TOKEN": asyncio.run(token()),
        "SITE": "1",
    }


def test_the_examples_do_what_the_page_says(environment: dict[str, str], tmp_path: Path) -> None:
    accepted = []
    for example in EXAMPLES:
        command = ["bash", "-euo", "pipefail", "-c", example]
        ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30)
        assert ended.returncode == 0, ended.stderr
        found = json.loads(ended.stdout)
        assert found["rejected"] in ([], 0), found
        accepted.append(found["accepted"])
    assert accepted[:3] == [1, 2, 1]
    assert len(EXAMPLES) == 4


def test_the_page_names_every_code() -> None:
    assert [code for code in REJECTION_MESSAGES if f"`{code}`" not in PAGE] == []
