import ast
import re
import string
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from jinja2 import Environment, nodes
from lxml import html

from app.access.rights import REFUSALS
from app.availability.contract_words import REASONS
from app.console.notices import NOTICES
from app.contracts import left_out, restitution_words, rule_words
from app.core.errors import Problem
from app.core.i18n import preferred_language
from app.core.validation import MESSAGES, PATTERNS
from app.core.words import UNITS
from app.pages import formats
from app.pages.alert_words import DELIVERY_PROBLEMS
from app.push.rejections import REJECTION_MESSAGES
from app.settings import CONFIG_DIR, ROOT
from app.vantages import delivery
from app.visitors import result_parser, transfers
from tests.conftest import Cast

SUPER = "super().__init__"  # of a Problem that says its own detail
FILES = sorted((CONFIG_DIR / "messages").glob("*.id.toml"))
CATALOGUES = {file.name: tomllib.loads(file.read_text(encoding="utf-8")) for file in FILES}
INDONESIAN = {english: said for catalogue in CATALOGUES.values() for english, said in catalogue.items()}
TEMPLATES = sorted((ROOT / "app").glob("*/templates/**/*.html"))
NOT_TRANSLATED = {
    "agents",
    "reports",
}  # say everything in both languages at once; papers to be signed, in Bahasa Indonesia
UNITS_WRITTEN = {"Mbps", "kbps", "WITA"}
EXPRESSION = re.compile(r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


def spoken() -> Iterator[str]:
    """Every template that a caller may be shown: titles and details of problems, messages and suggestions of each
    Fault, of our validation, and what answers say in words."""
    yield from (*MESSAGES.values(), *PATTERNS.values(), *REASONS.values(), *(unit for unit, _ in UNITS))
    yield from REFUSALS.values()
    yield from (*REJECTION_MESSAGES.values(), *delivery.REJECTED.values())
    yield from (*result_parser.REJECTED.values(), *transfers.REFUSED.values())
    yield from left_out.TEMPLATES
    yield from (*restitution_words.UNKNOWN_AS.values(), *rule_words.UNKNOWN_AS.values())
    yield from NOTICES.values()
    yield from (template for _, template in formats.UNITS)
    for template in TEMPLATES:
        for call in parsed(template).find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name == "_":
                yield from _constants(call.args[0], template)
    problems = {kind.__name__: kind for kind in _kinds(Problem)}
    yield from (kind.title for kind in problems.values())
    for file in sorted((ROOT / "app").rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", "")
            if name == "Fault":
                for argument in node.args[2:4]:
                    yield from _texts(argument, file)
            elif name in {"in_words", "translate"} or ast.unparse(node.func).endswith(
                ("console.text", "pages.text", "words.text")
            ):
                for argument in node.args[:1]:
                    yield from _texts(argument, file)
            elif name in problems.keys() - {"Invalid"} or (file.stem == "errors" and ast.unparse(node.func) == SUPER):
                for argument in node.args[:1]:
                    assert not isinstance(argument, ast.JoinedStr), f"{file}:{node.lineno}: a template, with its values"
                    yield from _texts(argument, file)


def parsed(template: Path) -> nodes.Template:
    return Environment().parse(template.read_text(encoding="utf-8"))  # parsed only


def _constants(node: nodes.Node, template: Path) -> Iterator[str]:
    """Return the texts that an argument of `_` may be."""
    if isinstance(node, nodes.CondExpr):
        yield from _constants(node.expr1, template)
        if node.expr2 is not None:
            yield from _constants(node.expr2, template)
    else:
        assert isinstance(node, nodes.Const), f"{template}:{node.lineno}: give _ a text, not a name"
        yield node.value


def _kinds(problem: type[Problem]) -> Iterator[type[Problem]]:
    yield problem
    for kind in problem.__subclasses__():
        yield from _kinds(kind)


def _texts(node: ast.expr, file: Path) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from _texts(node.body, file)
        yield from _texts(node.orelse, file)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name):
        given = getattr(import_module(".".join(file.relative_to(ROOT).with_suffix("").parts)), node.id, None)
        if isinstance(given, str):
            yield given


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_every_message_has_its_indonesian() -> None:
    assert sorted(set(spoken()) - set(INDONESIAN)) == []


def test_every_problem_that_the_courier_notes_has_its_indonesian() -> None:
    source = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "app/courier").glob("*.py"))
    noted = re.findall(
        r'(?:Answer\(DeliveryOutcome\.\w+, |problem=|PROBLEM = |_refuse\(|NOT_ALLOWED = )"([^"]+)"', source
    )
    assert len(noted) > 10
    assert sorted(set(noted) - set(DELIVERY_PROBLEMS)) == []


def test_a_text_is_translated_in_one_place() -> None:
    twice = [english for english in INDONESIAN if sum(english in said for said in CATALOGUES.values()) > 1]
    assert twice == []


def test_templates_say_nothing_beside_the_catalogue() -> None:
    """Words of a template stand within `_`; names of the product and of formats are the same in each language."""
    bare = []
    for template in TEMPLATES:
        if template.parts[-3] in NOT_TRANSLATED:
            continue
        tree = html.fromstring(EXPRESSION.sub("", template.read_text(encoding="utf-8")).strip() or "<p></p>")
        texts = [*tree.itertext(), *tree.xpath("//@title | //@alt | //@placeholder | //@aria-label")]
        words = re.findall(r"[A-Za-z]{3,}", " ".join(texts).replace("Sinyal Desa", ""))
        bare += [(template.name, word) for word in words if not word.isupper() and word not in UNITS_WRITTEN]
    assert bare == []


def test_the_indonesian_says_nothing_that_the_english_does_not() -> None:
    assert sorted(set(INDONESIAN) - set(spoken())) == []
    assert [english for english, said in INDONESIAN.items() if placeholders(english) != placeholders(said)] == []


def test_the_language_is_the_one_the_caller_prefers() -> None:
    assert (
        preferred_language(None)
        == preferred_language("")
        == preferred_language("fr")
        == preferred_language("nonsense;q=x")
        == "en"
    )
    assert preferred_language("id-ID,id;q=0.9,en-US;q=0.8,en;q=0.7") == "id"
    assert preferred_language("en;q=0.2, id;q=0.9") == "id"
    assert preferred_language("id;q=0.1,en") == "en"


async def test_a_problem_is_told_wholly_in_the_callers_language(cast: Cast) -> None:
    indonesian = {"Accept-Language": "id"}
    refused = await cast.vera.get("/audit", headers=indonesian)
    assert refused.json()["detail"] == "Peran viewer tidak boleh melakukan ini; hanya admin"
    missing = await cast.sari.get("/sites/64.02.05.2003-07", headers=indonesian)
    assert missing.json()["detail"] == "Tidak ada titik akses 64.02.05.2003-07 dalam wilayah kewenangan Anda"
    odd = await cast.sari.get("/sites/{x}", headers=indonesian)
    assert odd.json()["detail"] == "Tidak ada titik akses {x} dalam wilayah kewenangan Anda"
    assert (await cast.vera.get("/audit")).json()["detail"] == "Role viewer may not do this: only admins may"


async def test_what_has_a_form_is_told_it_in_words_and_choices_by_their_values(cast: Cast) -> None:
    indonesian = {"Accept-Language": "id"}
    for path, given, field in (
        ("/providers", {"slug": "Telkom Baru", "name": "Telkom Baru"}, "slug"),
        ("/accounts", {"username": "ana lestari", "name": "Ana", "role": "viewer", "region_code": "64"}, "username"),
    ):
        (fault,) = (await cast.sari.post(path, given, headers=indonesian)).json()["errors"]
        assert (fault["field"], "huruf kecil" in fault["message"], "[a-z" in fault["message"]) == (field, True, False)
    (fault,) = (await cast.sari.get("/status", params={"format": "csv"})).json()["errors"]
    assert fault["message"] == "csv is not one of: json, geojson"
