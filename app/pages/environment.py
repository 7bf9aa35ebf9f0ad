"""Renders templates: one Jinja environment a language and folder, in which `_` translates and filters write numbers."""

import re
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.charts.day_grid import day_grid
from app.charts.days import read_days
from app.charts.share_bar import share_bar
from app.pages import formats
from app.pages.assets import asset_name
from app.pages.chart_words import chart_words
from app.pages.texts import text
from app.pages.words import word_filters

SHARED = Path(__file__).parent / "templates"
CALL = re.compile(r"\b(GET|POST|PATCH|PUT|DELETE) /|/api/v1/|If-Match")  # for programs: pages have forms and links
# As templates draw them: `charts.share_bar(seconds, label=…, words=words)`
CHARTS = SimpleNamespace(day_grid=day_grid, read_days=read_days, share_bar=share_bar)


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
    made.tests["of_a_call"] = lambda suggestion: CALL.search(suggestion) is not None
    made.globals.update(charts=CHARTS, words=chart_words(language))
    made.filters.update(
        number=partial(formats.number, language=language),
        pct=partial(formats.percent, language=language),
        moment=partial(formats.moment, language=language),
        clock=partial(formats.clock, language=language),
        time_of_day=partial(formats.time_of_day, language=language),
        day=partial(formats.day, language=language),
        month=partial(formats.month, language=language),
        duration=partial(formats.duration, language=language),
        ago=partial(formats.ago, language=language),
        capital=lambda word: word[:1].upper() + word[1:],
        **word_filters(language),
    )
    return made
