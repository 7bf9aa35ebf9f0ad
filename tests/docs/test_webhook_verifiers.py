"""The verifiers of docs/webhooks.md, as they stand there, on what a webhook really received."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import pytest

from app.courier.attempt import attempt
from app.courier.contract import Message, Receiver
from app.settings import ROOT
from probes.policy import AddressPolicy
from tests.support.receivers import ReceivedMessage, http_receiver

PAGE = (ROOT / "docs" / "webhooks.md").read_text()
VERIFIERS = dict(re.findall(r"^```(python|php|javascript)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
SECRET = "rahasia-penerima-2026"
Verify = Callable[[str, Mapping[str, str], bytes], bool]
CALL = """
const { secret, headers, body } = JSON.parse(require("fs").readFileSync(0));
console.log(isOurs(secret, headers, Buffer.from(body, "hex")));
"""


def in_python(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    names: dict[str, Any] = {}
    exec(VERIFIERS["python"], names)
    return bool(names["is_ours"](secret, headers, body))


def in_javascript(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    if (node := shutil.which("node")) is None:
        pytest.skip("node is missing")
    given = json.dumps({"secret": secret, "headers": headers, "body": body.hex()})
    ran = subprocess.run([node, "-e", VERIFIERS["javascript"] + CALL], input=given, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return {"true\n": True, "false\n": False}[ran.stdout]


@pytest.fixture(scope="module")
async def received() -> ReceivedMessage:
    """A webhook with letters beyond ASCII."""
    message = Message(uuid4(), "onset", "Putus – Méhuí", "5 titik akses …", False, {"kind": "onset"}, {})
    with http_receiver() as http:
        done = await attempt(message, Receiver("webhook", f"{http.url}/x", SECRET), AddressPolicy(["127.0.0.0/8"]))
        await done.thread
        return http.accepted("/x")[0]


@pytest.mark.parametrize("verify", [in_python, in_javascript])
def test_a_verifier_accepts_what_we_sent_and_nothing_else(verify: Verify, received: ReceivedMessage) -> None:
    headers, body = dict(received.headers), received.body
    assert verify(SECRET, headers, body)
    assert not verify("another secret", headers, body)
    assert not verify(SECRET, headers, body.replace(b"onset", b"other"))
    earlier = str(int(headers["x-sinyal-timestamp"]) - 301)
    for changed in (
        {"x-sinyal-timestamp": earlier},
        {"x-sinyal-timestamp": "x"},
        {"x-sinyal-signature": ""},
        {"x-sinyal-signature": headers["x-sinyal-signature"][:-1]},
        {"x-sinyal-signature": headers["x-sinyal-signature"].removeprefix("v1=")},
    ):
        assert not verify(SECRET, headers | changed, body), changed
    assert not verify(SECRET, {}, body)


def test_each_verifier_is_short() -> None:
    assert set(VERIFIERS) == {"python", "php", "javascript"}
    assert all(len(code.strip().splitlines()) <= 15 for code in VERIFIERS.values())
