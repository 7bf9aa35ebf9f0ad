"""The page that measures, as it is sent: small, for old phones, strict, and whole in both languages."""

import httpx
import pytest
from fastapi import FastAPI
from lxml import etree, html

from app.pages.assets import assets, lean_script
from tests.support.old_javascript import newer_than_2016

MAX_SCRIPT = 15_000  # bytes, uncompressed: the page's script and its service worker


def visitor(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


def scripts() -> dict[str, str]:
    [page] = [asset.content for name, asset in assets().items() if name.startswith("measure.") and name.endswith("js")]
    return {"page": page.decode(), "worker": lean_script("measure/worker").decode()}


def test_the_scripts_are_small_enough_for_a_satellites_quota() -> None:
    assert sum(len(script.encode()) for script in scripts().values()) <= MAX_SCRIPT


@pytest.mark.parametrize("name", ["page", "worker"])
def test_a_phone_of_2016_understands_the_scripts(name: str) -> None:
    assert newer_than_2016(scripts()[name]) == []


@pytest.mark.parametrize(
    "newer",
    [
        "const a = b?.c;", "async () => 1;", "a ?? b;", "a ** 2;", "({...a});", "try { a(); } catch { b(); }",
        "for await (const a of b) c();", "import a from 'b';", "class A {}", "a.flat();", "new AbortController();",
        "const a = ;", "const {a} = b;", "(a = 1) => a;",
    ],
)  # fmt: skip
def test_what_is_newer_is_found(newer: str) -> None:
    assert newer_than_2016(newer)


async def test_the_page_runs_nothing_inline_and_asks_only_this_service(app: FastAPI) -> None:
    async with visitor(app) as client:
        answers = [await client.get(path) for path in ("/ukur", "/en/ukur")]
        again = await client.get("/ukur", headers={"If-None-Match": answers[0].headers["etag"]})
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "connect-src 'self'" in policy
        assert policy.endswith("worker-src 'self'; manifest-src 'self'")
        assert "unsafe" not in policy
        page = html.fromstring(answer.text)
        assert not page.xpath("//script[not(@src)] | //style | //*[@style] | //@*[starts-with(name(), 'on')]")
        assert page.xpath("//noscript//text()")
    assert [html.fromstring(answer.text).get("lang") for answer in answers] == ["id", "en"]
    assert again.status_code == 304


async def test_it_can_be_installed_in_either_language(app: FastAPI) -> None:
    async with visitor(app) as client:
        for page in ("/ukur", "/en/ukur"):
            manifest = (await client.get(f"{page}/manifest.webmanifest")).json()
            assert (manifest["start_url"], manifest["scope"], manifest["display"]) == (page, page, "standalone")
            icon = await client.get(manifest["icons"][0]["src"])
            assert etree.fromstring(icon.content).tag.endswith("svg")
        worker = await client.get("/ukur/sw.js")
    assert worker.headers["service-worker-allowed"] == "/"
    assert worker.headers["cache-control"] == "no-cache"
    assert worker.headers["content-type"].startswith("text/javascript")


async def test_every_word_that_the_script_says_stands_on_the_page(app: FastAPI) -> None:
    said = ("at", "looking", "several", "nosite", "nosuch", "noservice", "same", "other", "unknown", "waiting", "sent")
    async with visitor(app) as client:
        pages = [html.fromstring((await client.get(path)).text) for path in ("/ukur", "/en/ukur")]
    words = [dict(page.get_element_by_id("words").attrib) for page in pages]
    assert words[0].keys() == words[1].keys()
    assert all(f"data-{name}" in words[0] for name in said)
    named = {name.partition('"')[0] for name in scripts()["page"].split('word("')[1:]}
    assert {name for name in named if f"data-{name}" not in words[0]} == set()
