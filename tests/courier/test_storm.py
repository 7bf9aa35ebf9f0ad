"""A storm over a whole demo: outages of the simulated network, real HTTP and SMTP receivers, killed processes."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.support.receivers import HANG, OK
from tests.support.storm_check import StormVerdict
from tests.support.storm_listeners import Listener
from tests.support.storm_plan import StormPlan, plan_storm
from tests.support.storm_run import Killer, Storm, storm

pytestmark = pytest.mark.real_time

START_S, SILENT_UNTIL_S, KILLS = 40.0, 90.0, 6
WAIT_S, INTERVAL_S = 8, 20
LISTENERS = [
    Listener("provinsi"),
    Listener("macet"),  # the same, at a receiver that hangs
    Listener("massal", kinds=("shared",), by_mail=True),
    Listener("penyedia", provider="orbit", kinds=("down", "shared"), by_mail=True),
    Listener("serat", technologies=("fiber",)),
    Listener("paser", "64.01", by_mail=True),
    Listener("kukar", "64.02", silent_until_s=SILENT_UNTIL_S, muted=True),
    Listener("lama", least_s=3600),
]


@dataclass
class Outcome:
    plan: StormPlan
    verdict: StormVerdict
    kills: list[str]
    run: Storm


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    plan = plan_storm(
        sites=200, nodes=1, singles=26, maintained=4, start_s=START_S, window_s=10, lasts_s=((42, 52),), seed=3
    )
    environment = {"SINYAL_ALERTS__GROUP_WAIT_S": str(WAIT_S), "SINYAL_ALERTS__GROUP_INTERVAL_S": str(INTERVAL_S)}
    with storm(tmp_path_factory.mktemp("storm") / "data", plan, LISTENERS, **environment) as run:
        run.receivers.http.reply("/macet", HANG, OK)
        run.wait_until(START_S + 35)
        killer = Killer(run.running, KILLS, every_s=5)
        killer.start()
        killer.join(180)
        run.wait_until_told(180)
        yield Outcome(plan, run.check(killed_at=killer.began_at), killer.done, run)


def test_whoever_has_to_hear_of_an_outage_hears_once_and_nobody_else(outcome: Outcome) -> None:
    assert outcome.verdict.problems == []
    told = {name for name, kinds in outcome.verdict.messages.items() if kinds}
    assert told == {listener.name for listener in LISTENERS} - {"lama"}


def test_processes_killed_meanwhile_lose_no_message(outcome: Outcome, record_property: Callable[..., None]) -> None:
    assert Counter(outcome.kills) == {"worker": 2, "courier": 2, "database": 2}
    assert outcome.verdict.problems == []
    record_property("kill -9", f"{len(outcome.kills)}; {outcome.verdict.repeated} messages came again with their key")


def test_a_receiver_that_hangs_holds_up_nobody_else(outcome: Outcome) -> None:
    http = outcome.run.receivers.http
    others = [message.at for message in http.accepted() if message.path != "/macet"]
    assert min(others) < http.accepted("/macet")[0].at
