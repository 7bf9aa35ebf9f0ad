"""Renders templates: one Jinja environment a language and folder, in which `_` translates and filters write numbers."""

from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.core.i18n import translate
from app.pages import formats
from app.pages.assets import asset_name
from app.pages.words import word_filters

SHARED = Path(__file__).parent / "templates"


def render(folder: Path, name: str, language: str, **values: Any) -> str:
    """Render the template `name` of a room's `folder`, which may use those of this room."""
    return environment(folder, language).get_template(name).render(**values)


@cache
def environment(folder: Path, language: str) -> Environment:
    made = Environment(
        loader=FileSystemLoader([folder, SHARED]),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(_=partial(text, language=language), language=language, asset=asset_name)
    made.filters.update(
        number=partial(formats.number, language=language),
        pct=partial(formats.percent, language=language),
        moment=partial(formats.moment, language=language),
        clock=partial(formats.clock, language=language),
        day=partial(formats.day, language=language),
        month=partial(formats.month, language=language),
        duration=partial(formats.duration, language=language),
        ago=partial(formats.ago, language=language),
        **word_filters(language),
    )
    return made


def text(template: str, *, language: str, **values: Any) -> str:
    """Return the text in a language; `n` and other numbers are written as the language does."""
    shown = {
        name: formats.number(value, language) if isinstance(value, int) else value for name, value in values.items()
    }
    return translate(template, shown, language=language)
