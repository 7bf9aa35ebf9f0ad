import ast
import string
import tomllib
from collections.abc import Iterator
from pathlib import Path

from app.errors import Problem
from app.language import preferred
from app.settings import CONFIG_DIR, ROOT
from app.validation import MESSAGES

INDONESIAN = tomllib.loads((CONFIG_DIR / "messages.id.toml").read_text(encoding="utf-8"))


def spoken() -> Iterator[str]:
    """Every template that a caller may be shown: titles of problems, messages and suggestions of each Fault, and of our
    validation."""
    yield from MESSAGES.values()
    yield from _titles(Problem)
    for file in sorted((ROOT / "app").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Fault":
                for argument in node.args[2:4]:
                    yield from _texts(argument, file)


def _titles(problem: type[Problem]) -> Iterator[str]:
    yield problem.title
    for kind in problem.__subclasses__():
        yield from _titles(kind)


def _texts(node: ast.expr, file: Path) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from _texts(node.body, file)
        yield from _texts(node.orelse, file)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_every_message_has_its_indonesian() -> None:
    assert sorted(set(spoken()) - set(INDONESIAN)) == []


def test_the_indonesian_says_nothing_that_the_english_does_not() -> None:
    assert sorted(set(INDONESIAN) - set(spoken())) == []
    assert [english for english, said in INDONESIAN.items() if placeholders(english) != placeholders(said)] == []


def test_the_language_is_the_one_the_caller_prefers() -> None:
    assert preferred(None) == preferred("") == preferred("fr") == preferred("nonsense;q=x") == "en"
    assert preferred("id-ID,id;q=0.9,en-US;q=0.8,en;q=0.7") == "id"
    assert preferred("en;q=0.2, id;q=0.9") == "id"
    assert preferred("id;q=0.1,en") == "en"
