"""What the documentation names is there."""

import re

from app.settings import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PATH = re.compile(r"`((?:app|probes|simulator|tests|config|migrations)/[\w./-]+)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def test_every_path_that_a_page_names_exists() -> None:
    named = [(page, path) for page in PAGES for path in PATH.findall(page.read_text())]
    assert len(named) > 30
    assert [(page.name, path) for page, path in named if not (ROOT / path).exists()] == []


def test_every_link_of_a_page_leads_somewhere() -> None:
    links = [(page, link) for page in PAGES for link in LINK.findall(page.read_text())]
    assert len(links) > 30
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []


def test_every_path_that_a_comment_or_docstring_names_exists() -> None:
    files = [file for room in ("app", "probes", "simulator", "tests") for file in (ROOT / room).rglob("*.py")]
    named = [
        (file, path)
        for file in files
        for path in re.findall(r"(?<![\w/])(?:app|probes|simulator|tests)/[\w/]+\.py", file.read_text())
    ]
    assert len(named) > 10
    assert [(str(file.relative_to(ROOT)), path) for file, path in named if not (ROOT / path).exists()] == []
