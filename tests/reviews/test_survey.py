"""The survey of two questions: who may answer how often, what is kept of it, and what is shown."""

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from lxml import html
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import today
from app.public.pages import PublicPages
from app.reviews import satisfaction, survey
from app.reviews.satisfaction import LEAST_ANSWERS, Satisfaction
from app.reviews.survey import MOST_ANSWERS, MOST_VILLAGES, SurveyAnswer, SurveyOutcome, read_answer
from app.settings import PublicSettings, Settings
from tests.conftest import Cast
from tests.factories import BERAU_VILLAGE, VILLAGE, register

TODAY = today()


async def answer(session: AsyncSession, village: str, address: str, benefit: int = 4, cost: int = 2) -> SurveyOutcome:
    async with session.begin():
        return await survey.take_answer(session, village, SurveyAnswer(benefit, cost), address=address, today=TODAY)


async def rows(session: AsyncSession, table: str) -> list[Any]:
    async with session.begin():
        return list(await session.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2")))


async def test_a_network_answers_once_a_day_for_a_village(session: AsyncSession) -> None:
    assert await answer(session, VILLAGE, "203.0.113.7") is SurveyOutcome.COUNTED
    assert await answer(session, VILLAGE, "203.0.113.200") is SurveyOutcome.REPEATED, "the same /24"
    assert await answer(session, VILLAGE, "::ffff:203.0.113.9") is SurveyOutcome.REPEATED, "the same, mapped"
    assert await answer(session, BERAU_VILLAGE, "203.0.113.7") is SurveyOutcome.COUNTED
    assert await answer(session, VILLAGE, "2001:db8:1:1::1") is SurveyOutcome.COUNTED
    assert await answer(session, VILLAGE, "2001:db8:1:2::1") is SurveyOutcome.REPEATED, "the same /48"


async def test_stuffing_from_many_networks_fills_a_village_for_a_day_and_no_more(session: AsyncSession) -> None:
    outcomes = [await answer(session, VILLAGE, f"198.51.{n}.1", 1, 5) for n in range(MOST_ANSWERS + 3)]
    assert outcomes == [SurveyOutcome.COUNTED] * MOST_ANSWERS + [SurveyOutcome.FULL] * 3
    assert [tuple(row)[2:] for row in await rows(session, "survey_day")] == [(1, 5, MOST_ANSWERS)]


async def test_a_network_cannot_answer_for_all_villages(session: AsyncSession) -> None:
    outcomes = [await answer(session, f"64.02.05.20{n:02}", "203.0.113.7") for n in range(MOST_VILLAGES + 2)]
    assert outcomes == [SurveyOutcome.COUNTED] * MOST_VILLAGES + [SurveyOutcome.REPEATED] * 2


async def test_nothing_kept_tells_who_answered_and_the_salt_ends_with_the_day(session: AsyncSession) -> None:
    await answer(session, VILLAGE, "203.0.113.7")
    ((_, source, _),) = [tuple(row) for row in await rows(session, "survey_source")]
    assert len(source) == 16
    columns = {column for row in await rows(session, "survey_day") for column in row._fields}
    assert columns == {"village_code", "day", "benefit", "cost", "answers"}
    async with session.begin():
        tomorrow = TODAY + timedelta(days=1)
        taken = await survey.take_answer(session, VILLAGE, SurveyAnswer(5, 1), address="203.0.113.7", today=tomorrow)
    assert taken is SurveyOutcome.COUNTED
    ((_, other, _),) = [tuple(row) for row in await rows(session, "survey_source")]
    assert other != source, "another salt: days cannot be told to be of one network"
    assert [row.day for row in await rows(session, "survey_salt")] == [tomorrow]
    async with session.begin():
        await survey.forget(session, before=tomorrow + timedelta(days=1))
    assert await rows(session, "survey_source") == await rows(session, "survey_salt") == []


@pytest.mark.parametrize("bad", ["", "0", "6", "-1", "4.0", "٤", "99", "4 ", "x"])
def test_only_the_scale_is_an_answer(bad: str) -> None:
    assert read_answer(bad, "3") is None
    assert read_answer("3", bad) is None
    assert read_answer("1", "5") == SurveyAnswer(1, 5)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), max_size=40))
def test_means_are_of_the_exact_sums(answers: list[tuple[int, int]]) -> None:
    benefit, cost = (sum(pair[n] for pair in answers) for n in (0, 1))
    of = Satisfaction(len(answers), benefit, cost)
    if len(answers) < LEAST_ANSWERS:
        assert (of.benefit_mean, of.cost_mean, of.difference) == (None, None, None)
    else:
        assert of.benefit_mean is not None
        assert of.difference is not None
        assert abs(of.benefit_mean - benefit / len(answers)) <= 0.005 + 1e-9
        assert abs(of.difference - (benefit - cost) / len(answers)) <= 0.005 + 1e-9
        assert 1 <= of.benefit_mean <= 5


async def test_answers_add_up_by_region(session: AsyncSession) -> None:
    for n in range(3):
        await answer(session, VILLAGE, f"198.51.{n}.1", 5, 1)
        await answer(session, BERAU_VILLAGE, f"198.51.{n}.1", 3, 3)
    async with session.begin():
        districts = await satisfaction.by_region(session, "64", TODAY, TODAY, length=5)
        only = await satisfaction.by_region(session, "64.02", TODAY, TODAY, length=8)
        before = await satisfaction.by_region(session, "64", TODAY - timedelta(days=9), TODAY - timedelta(1), length=5)
    assert districts == {"64.02": Satisfaction(3, 15, 3), "64.03": Satisfaction(3, 9, 9)}
    assert only == {"64.02.05": Satisfaction(3, 15, 3)}
    assert before == {}


def visitor(app: FastAPI, address: str = "203.0.113.7", **settings: Any) -> httpx.AsyncClient:
    app.state.public.cached.clear()
    pages = PublicPages(lambda: app.state.sessions, Settings(public=PublicSettings(**settings)))
    pages.cached, app.state.public = app.state.public.cached, pages
    transport = httpx.ASGITransport(app, client=(address, 40_000))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


def said(answer: httpx.Response) -> str:
    return " ".join(html.fromstring(answer.text).xpath("string(//main)").split())


async def test_the_form_works_without_javascript_and_sets_no_cookie(app: FastAPI, cast: Cast) -> None:
    await register(cast)
    async with visitor(app) as client:
        for language, thanks in (("", "Terima kasih"), ("/en", "somebody has answered today already")):
            page = html.fromstring((await client.get(f"{language}/desa/{VILLAGE}")).text)
            (form,) = page.xpath("//form[@class='survey']")
            assert form.get("method") == "post"
            assert {name: len(form.xpath(f".//input[@name='{name}']")) for name in ("benefit", "cost")} == {
                "benefit": 5,
                "cost": 5,
            }
            taken = await client.post(form.get("action"), data={"benefit": "4", "cost": "2"})
            assert taken.status_code == 200
            assert thanks in said(taken)
            assert "set-cookie" not in taken.headers
            assert taken.headers["cache-control"] == "no-store"
        again = await client.get(f"/desa/{VILLAGE}/penilaian")
        assert (again.status_code, again.headers["location"]) == (303, f"/desa/{VILLAGE}")


async def test_an_incomplete_answer_is_asked_for_again_with_what_was_chosen(app: FastAPI, cast: Cast) -> None:
    await register(cast)
    async with visitor(app) as client:
        for body in ({"benefit": "4"}, {"benefit": "4", "cost": "9"}, {"benefit": "4", "pad": "x" * 50, "cost": ""}):
            refused = await client.post(f"/desa/{VILLAGE}/penilaian", data=body)
            assert refused.status_code == 422
            chosen = html.fromstring(refused.text).xpath("//input[@checked]")
            assert [(each.get("name"), each.get("value")) for each in chosen] == [("benefit", "4")]
        many = await client.post(f"/desa/{VILLAGE}/penilaian", content=b"a=1&" * 120)
        assert many.status_code == 422
        large = await client.post(f"/desa/{VILLAGE}/penilaian", content=b"benefit=4&cost=2&pad=" + b"x" * 1000)
        assert large.status_code == 422
        other = {"Sec-Fetch-Site": "cross-site"}
        sent = await client.post(f"/desa/{VILLAGE}/penilaian", data={"benefit": "1", "cost": "5"}, headers=other)
        assert sent.status_code == 403
        for village in (BERAU_VILLAGE, "64.02.05.9999", "x"):
            lost = await client.post(f"/desa/{village}/penilaian", data={"benefit": "4", "cost": "2"})
            assert lost.status_code == 404, "no published access point"
    async with visitor(app, level="district") as client:
        hidden = await client.post(f"/desa/{VILLAGE}/penilaian", data={"benefit": "4", "cost": "2"})
        assert hidden.status_code == 404


async def test_a_flood_from_one_network_is_refused_before_the_database(
    app: FastAPI, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(cast)
    tried = 0

    async def count(*_: Any, **__: Any) -> SurveyOutcome:
        nonlocal tried
        tried += 1
        return SurveyOutcome.REPEATED

    monkeypatch.setattr(survey, "take_answer", count)
    async with visitor(app) as client:
        statuses = [
            (await client.post(f"/desa/{VILLAGE}/penilaian", data={"benefit": "1", "cost": "5"})).status_code
            for _ in range(60)
        ]
    assert set(statuses) == {200, 429}
    assert tried == statuses.count(200) <= 41


async def test_the_page_shows_means_with_the_number_of_answers(app: FastAPI, cast: Cast, session: AsyncSession) -> None:
    await register(cast)
    for n in range(LEAST_ANSWERS - 1):
        await answer(session, VILLAGE, f"198.51.{n}.1", 5, 1)
    async with visitor(app) as client:
        few = said(await client.get(f"/desa/{VILLAGE}"))
    assert re.search(r"4 jawaban dalam 90 hari terakhir: rata-rata ditampilkan mulai 5 jawaban", few)
    await answer(session, VILLAGE, "203.0.113.7", 4, 2)
    async with visitor(app) as client:
        enough = said(await client.get(f"/desa/{VILLAGE}"))
    assert "5 jawaban dalam 90 hari terakhir: manfaat 4,80 dari 5, biaya atau kesulitan 1,20 dari 5." in enough
