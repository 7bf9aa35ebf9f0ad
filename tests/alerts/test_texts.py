import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.alerts.content import Content, Section, ToldPlace
from app.alerts.gsm import BASIC, EXTENDED, LENGTH, gsm_length, to_gsm
from app.alerts.message_values import NO_LINKS, Links, name
from app.alerts.message_words import MESSAGES
from app.alerts.models import HoldReason, MessageForm, NotificationKind
from app.alerts.templates import load_templates, templates
from app.alerts.texts import LONGEST, LONGEST_TITLE, Rendered, render, situation_of
from app.cli.doctor.alerts import check_alert_texts
from app.profiles import Technology
from app.registry.models import Cause
from app.settings import CONFIG_DIR, Settings, SettingsError
from tests.support.told import CONTENTS, LINKS, all_texts, told, told_incident, told_site

LANGUAGES = st.sampled_from(["id", "en"])
TYPED = st.text(max_size=120) | st.sampled_from(
    ["{link}", "{0.__class__}", "a\r\nBcc: x@example.com", "1" * 100, "Ünlü’s"]
)
WHEN = st.none() | st.integers(946_684_800, 221_845_392_000).map(lambda second: datetime.fromtimestamp(second, UTC))
NUMBERS = st.integers(0, 10**9)


def places(code: str = "64.02") -> st.SearchStrategy[ToldPlace]:
    return st.builds(ToldPlace, code=st.just(code), name=TYPED)


SITES = st.builds(
    told_site,
    **dict.fromkeys(("name", "village", "subdistrict", "district", "provider"), TYPED),
    technology=st.sampled_from(Technology),
    service_no=st.none() | TYPED,
    started_at=WHEN,
    last_ok_at=WHEN,
    ended_at=WHEN,
    lost_readings=st.dictionaries(st.sampled_from(["central", "agent", "silence", "other"]), NUMBERS),
)
SECTIONS = st.builds(
    lambda sites, more, cut_off, node: Section(sites=sites, total=len(sites) + more, cut_off=cut_off, node=node),
    st.lists(SITES, max_size=3),
    NUMBERS,
    NUMBERS,
    st.none() | places(),
)
INCIDENTS = st.builds(
    told_incident,
    cause=st.none() | st.sampled_from(Cause),
    cause_hint=st.none() | st.sampled_from(Cause),
    acknowledged_by=st.none() | TYPED,
    ticket_no=st.none() | TYPED,
)
CONDITIONS = st.sampled_from([condition for content in CONTENTS.values() for condition in content.conditions])
ANY_CONTENT = st.builds(
    told,
    st.sampled_from(NotificationKind),
    office=places(),
    provider=st.none() | st.just("icon-plus"),
    shared_by=st.none() | places(),
    down=SECTIONS,
    recovered=SECTIONS,
    came_and_went=SECTIONS,
    withdrawn=SECTIONS,
    incidents=st.lists(INCIDENTS, max_size=3),
    incidents_total=NUMBERS,
    conditions=st.lists(CONDITIONS, max_size=3),
    conditions_total=NUMBERS,
    escalated_after_min=st.none() | NUMBERS,
    escalated_from=st.lists(places(), max_size=12),
    held=st.none() | st.sampled_from(HoldReason),
    figures=st.dictionaries(st.sampled_from(["sites", "uptime_pct", "bogus"]), st.none() | st.floats(0, 100) | TYPED),
    **dict.fromkeys(("is_reminder", "maintenance_overrun", "recurred", "flapping", "simulated"), st.booleans()),
)


@pytest.mark.parametrize("language", ["id", "en"])
def test_each_situation_is_worded_as_reviewed(language: str) -> None:
    """After a change of the templates: `python -m tests.support.told`, and read what differs."""
    reviewed = (Path(__file__).parent / f"texts.{language}.txt").read_text(encoding="utf-8")
    assert all_texts(language) == reviewed
    told_of = {situation_of(content) for content in CONTENTS.values()}
    assert told_of | {"conditions", "service_unwell"} == set(MESSAGES)


@given(ANY_CONTENT, LANGUAGES, st.sampled_from([LINKS, NO_LINKS, Links("https://x.example/" + "y" * 300, None)]))
@settings(max_examples=60, deadline=None)
def test_whatever_happened_fits_into_a_message_and_into_an_sms(content: Content, language: str, links: Links) -> None:
    written = render(content, language=language, form=MessageForm.LONG, links=links)
    short = render(content, language=language, form=MessageForm.SHORT, links=links)
    assert 0 < len(written.text) <= LONGEST
    assert 0 < len(written.title) <= LONGEST_TITLE
    assert written.title.isprintable()
    assert 0 < gsm_length(short.text) <= LENGTH
    assert set(short.text) <= BASIC | EXTENDED
    for link in re.findall(r"https://\S+", short.text):
        assert link in {links.details, links.acknowledge}, "whole, and ours"


@pytest.mark.parametrize("form", list(MessageForm))
def test_what_users_typed_is_neither_a_template_nor_a_link_nor_a_line(form: MessageForm) -> None:
    typed = "{link} {0}\nBcc: a\u202e http://evil.example/x www.evil.example"
    site = told_site(village=typed, name=typed, provider=typed, service_no="7\n8")
    content = told(NotificationKind.ONSET, down=Section(sites=[site], total=1))
    rendered = render(content, language="id", form=form, links=NO_LINKS)
    for text in (rendered.title, rendered.text):
        assert "evil.example" not in text
        assert "://" not in text
        assert "\u202e" not in text
        assert "\nBcc" not in text
    assert "{link} {0} Bcc: a" in rendered.text
    assert name("Kec.Loa Kulu 64.02.05") == "Kec. Loa Kulu 64.02.05"


@pytest.mark.parametrize(
    ("typed", "told_as"),
    [
        ("@everyone <!channel> @\u200bhere", "@ everyone < !channel> @ here"),
        ("[gratis](//192.0.2.1) <b>", "[gratis] (//192.0.2.1) < b>"),
        ("evil.\u200bexample http:\u2060//x", "evil. example http: //x"),
        ("a" * 200, "a" * 80),
        ("Loa Duri 1.5 & SMPN @ 3", "Loa Duri 1.5 & SMPN @ 3"),
    ],
)
def test_a_name_calls_nobody_leads_nowhere_and_is_never_empty(typed: str, told_as: str) -> None:
    assert name(typed) == told_as


def test_an_sms_leaves_out_what_does_not_fit_and_cuts_nothing() -> None:
    content = CONTENTS["one site down"]
    long_link = Links("https://sinyal.kaltimprov.go.id/console/notifications/" + "1" * 40)
    short = render(content, language="id", form=MessageForm.SHORT, links=long_link)
    assert short.text.endswith(long_link.details or "-")
    too_long = Links("https://sinyal.kaltimprov.go.id/" + "1" * 160)
    without = render(content, language="id", form=MessageForm.SHORT, links=too_long)
    assert without.text == "PUTUS 28 Nov 14.05 WITA: Loa Kulu Kota, Kec. Loa Kulu, Kutai Kartanegara."
    assert to_gsm("Désa “Ökö” – 5 € …") == 'Désa "Ökö" - 5 € ...'


def test_many_long_names_leave_room_for_what_matters() -> None:
    """Fewer sites are named rather than a message that Telegram or WhatsApp refuses."""
    sites = [told_site(village="Desa " * 15, subdistrict="Kec " * 20, provider="PT " * 25) for _ in range(10)]
    every = Section(sites=sites, total=1000)
    content = told(NotificationKind.HELD, down=every, recovered=every, came_and_went=every)
    text = render(content, language="id", form=MessageForm.LONG, links=LINKS).text
    assert len(text) <= LONGEST
    assert "Putus (1.000)" in text
    assert text.endswith(LINKS.details or "-")


@pytest.mark.parametrize(
    ("was", "now", "complaint"),
    [
        (
            'title = "Putus: {where}"',
            'title = "Putus: {wher}"',
            "onset.title: unknown word {wher}; did you mean where?",
        ),
        ('title = "Putus: {where}"', 'title = "Putus: {where"', "onset.title: a brace is not closed or not opened"),
        ('title = "Putus: {where}"', 'title = "Putus: {where.x}"', "onset.title: {where.x} is not a word in braces"),
        ('title = "Putus: {where}"', 'title = "Putus: {where!r:>9}"', "onset.title: {where} is not a word in braces"),
        ('title = "Putus: {where}"', "", "onset.title is missing"),
        ('title = "Putus: {where}"', "title = 7", "onset.title is a text, or a list of texts"),
        ("[onset]", "[onsett]", "unknown key onsett; did you mean onset?"),
        ("\n[part]", "\n[parts]", "unknown key parts"),
        ('more = "', 'moore = "', "unknown key part.moore; did you mean more?"),
        ('"PUTUS: {count} titik akses."', '"PUTUS: {where}."', "onset.short: the last text may hold only {count}"),
        ('"PUTUS: {count} titik akses."', f'"{"x" * 101}"', "onset.short: the last text is longer than 100"),
        ("[onset]", "[onset", "at line"),
    ],
)
def test_a_mistake_in_a_template_stops_the_start_with_file_key_and_word(
    tmp_path: Path, was: str, now: str, complaint: str
) -> None:
    for language in ("id", "en"):
        text = (CONFIG_DIR / "alerts" / f"{language}.toml").read_text(encoding="utf-8")
        (tmp_path / f"{language}.toml").write_text(text.replace(was, now, 1) if language == "id" else text)
    with pytest.raises(SettingsError) as raised:
        load_templates(tmp_path)
    assert f"{tmp_path}/id.toml" in str(raised.value)
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_doctor_reads_the_templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(check_alert_texts(Settings())) == f"ok    alert texts: {len(MESSAGES)} situations in en and id"
    monkeypatch.setattr("app.alerts.templates.CONFIG_DIR", tmp_path)
    templates.cache_clear()
    with pytest.raises(SettingsError, match="No such file"):
        check_alert_texts(Settings())
    templates.cache_clear()


def test_an_installations_own_words_are_used(tmp_path: Path) -> None:
    for language in ("id", "en"):
        text = (CONFIG_DIR / "alerts" / f"{language}.toml").read_text(encoding="utf-8")
        (tmp_path / f"{language}.toml").write_text(
            text.replace('title = "Putus: {where}"', 'title = "Awas {{!}} {village}"')
        )
    own = load_templates(tmp_path)["id"]
    rendered = render(CONTENTS["one site down"], language="id", form=MessageForm.LONG, using=own)
    assert rendered == Rendered("Awas {!} Loa Kulu Kota", rendered.text)
