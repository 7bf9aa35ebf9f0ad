"""The layout that `docs/adr/0016-rooms-and-names.md` decides, held."""

import ast
from collections import defaultdict

from app.settings import ROOT

FILES = [file for room in ("app", "probes", "simulator") for file in sorted((ROOT / room).rglob("*.py"))]


def test_the_root_of_app_holds_settings_and_profiles_and_nothing_else() -> None:
    assert sorted(file.name for file in (ROOT / "app").glob("*.py")) == ["__init__.py", "profiles.py", "settings.py"]


def test_a_class_name_has_one_meaning() -> None:
    defined = defaultdict(set)
    for file in FILES:
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef):
                defined[node.name].add(str(file.relative_to(ROOT)))
    assert len(defined) > 200
    assert {name: sorted(files) for name, files in defined.items() if len(files) > 1} == {}
