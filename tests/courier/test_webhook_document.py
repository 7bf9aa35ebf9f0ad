"""docs/webhooks.md names every member that a receiver gets."""

import re

import pytest
from pydantic import BaseModel

from app.alerts.content import Content, Section, ToldCondition, ToldIncident, ToldPlace, ToldSite
from app.alerts.message_words import FIGURES
from app.alerts.models import HoldReason, NotificationKind
from app.settings import ROOT

TEXT = re.sub(r"```.*?```", "", (ROOT / "docs/webhooks.md").read_text(), flags=re.DOTALL)
NAMED = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]+)`", TEXT))))


@pytest.mark.parametrize("model", [Content, Section, ToldSite, ToldIncident, ToldCondition, ToldPlace])
def test_each_member_is_described(model: type[BaseModel]) -> None:
    assert model.model_fields.keys() - NAMED == set()


def test_so_is_each_kind_hold_and_figure() -> None:
    assert {*map(str, NotificationKind), *map(str, HoldReason), *FIGURES} - NAMED == set()
