"""What tests read of a chart: its elements, and the places of its parts."""

import gzip
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]

from app.charts.words import ChartWords
from app.pages.chart_words import chart_words

WORDS: ChartWords = chart_words("id")


def parsed(svg: str) -> Element:
    """Return the chart as XML. Raises ParseError where it is none."""
    return fromstring(svg)  # type: ignore[no-any-return]


def spans(root: Element, prefix: str = "s-") -> list[tuple[float, float, str]]:
    """Return the bars of a chart in order: from, to (in percent of the width) and class."""
    found = []
    for group in root.iter("g"):
        if group.get("class", "").startswith(prefix):
            for bar in group.iter("rect"):
                x = float(bar.attrib["x"].rstrip("%"))
                found.append((x, x + float(bar.attrib["width"].rstrip("%")), group.attrib["class"]))
    return sorted(found)


def titles(root: Element) -> list[str]:
    return [title.text or "" for title in root.iter("title")]


def texts(root: Element) -> list[str]:
    return ["".join(text.itertext()) for text in root.iter("text")]


def links(root: Element) -> list[str]:
    return [link.attrib["href"] for link in root.iter("a")]


def packed(svg: str) -> int:
    """Return the bytes on the wire."""
    return len(gzip.compress(svg.encode(), 9))
