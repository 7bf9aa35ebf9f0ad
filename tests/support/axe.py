"""The rules of axe-core on the page that a browser shows."""

from typing import Any

from axe_playwright_python.base import AXE_FILE_PATH
from playwright.async_api import Page

SCRIPT = AXE_FILE_PATH.read_text(encoding="utf-8")
GRAVE = frozenset({"serious", "critical"})
# Rules of which no check is serious take 40 % of the time, and what they found would be left out.
RUN = """() => {
    const isGrave = rule => [rule, ...[...rule.any, ...rule.all, ...rule.none].map(
        check => axe._audit.checks[check.id || check])].some(
        one => ["serious", "critical"].includes(one.impact));
    const others = axe._audit.rules.filter(rule => !isGrave(rule)).map(rule => [rule.id, {enabled: false}]);
    const rules = Object.fromEntries(others);
    return axe.run(document, {resultTypes: ["violations"], elementRef: false, rules});
}"""


async def grave_violations(page: Page) -> list[str]:
    """Return a line for each serious or critical violation: its rule, and the elements with what is wrong there."""
    await page.evaluate(SCRIPT)
    found = await page.evaluate(RUN)
    return [_line(violation) for violation in found["violations"] if violation["impact"] in GRAVE]


def _line(violation: dict[str, Any]) -> str:
    nodes = violation["nodes"]
    shown = "; ".join(f"{' '.join(map(str, node['target']))} ({node['html'][:150]})" for node in nodes[:3])
    return f"{violation['impact']} {violation['id']}: {violation['help']}: {len(nodes)} elements: {shown}"
