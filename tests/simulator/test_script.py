"""The TOML script: how it is parsed, and what its errors say."""

from pathlib import Path

import pytest

from simulator.script import (
    AgentBehaviour,
    EventKind,
    LinkBehaviour,
    Script,
    ScriptError,
    ScriptEvent,
    SiteSelector,
    load,
    parse,
)

FULL = """
seed = 7
interval_s = 10
sites = 300
nodes = 10
[technology.geo]
rtt_ms = 600
jitter_ms = 30
loss_pct = 0.5
[[event]]
kind = "outage"
start_s = 60
duration_s = 45
[event.select]
technology = "geo"
region = "64.11"
provider = "iconplus"
sites = ["64.02.05.2003-01"]
fraction = 0.1
kind = "node"
[[event]]
kind = "loss"
start_s = 1.5
duration_s = 2
loss_pct = 40
[[event]]
kind = "slow"
start_s = 1
duration_s = 2
rtt_ms = 900
[[event]]
kind = "blind"
start_s = 100
duration_s = 20
"""
EVENT = '[[event]]\nkind = "outage"\nstart_s = 1\nduration_s = 2\n'


def test_a_full_script_is_parsed() -> None:
    script = parse(FULL)
    assert (script.seed, script.interval_s, script.sites, script.nodes, script.lively) == (7, 10, 300, 10, False)
    assert script.technologies == {"geo": LinkBehaviour(600, 30, 0.5)}
    assert script.events == (
        ScriptEvent(
            EventKind.OUTAGE, 60, 45, SiteSelector("geo", "64.11", "iconplus", ("64.02.05.2003-01",), 0.1, "node")
        ),
        ScriptEvent(EventKind.LOSS, 1.5, 2, loss_pct=40),
        ScriptEvent(EventKind.SLOW, 1, 2, rtt_ms=900),
        ScriptEvent(EventKind.BLIND, 100, 20),
    )


def test_an_empty_script_is_a_network_where_nothing_happens() -> None:
    assert parse("") == Script(seed=1, events=(), lively=False)


def test_the_default_script_is_lively() -> None:
    assert load(None).lively


def test_a_script_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"missing\.toml cannot be read"):
        load(tmp_path / "missing.toml")


A_DELAY = "0 to 60000 (ms)"
A_TECHNOLOGY = "fiber, radio, cellular, leo, geo"

MISTAKES = {
    "seed = -1": "script: seed is -1; allowed: a whole number from 0",
    "seed = true": "script: seed is True; allowed: a whole number from 0",
    "sites = 0": "script: sites is 0; allowed: a whole number of villages from 1",
    "nodes = -1": "script: nodes is -1; allowed: a whole number of towers from 0",
    "interval_s = 2.5": "script: interval_s is 2.5; allowed: whole seconds from 1",
    "intervall_s = 5": "script: unknown key 'intervall_s' (= 5); allowed: seed, interval_s,"
    " send_every_s, registered_s, sites, nodes, technology, event, lively, agents (did you mean 'interval_s'?)",
    "[technology.fibre]": f"technology: unknown key 'fibre' (= {{}}); allowed: {A_TECHNOLOGY} (did you mean 'fiber'?)",
    "[technology.geo]\nrtt_ms = '600'": f"technology.geo: rtt_ms is '600'; allowed: {A_DELAY}",
    "[technology.geo]\nloss_pct = 101": "technology.geo: loss_pct is 101; allowed: 0 to 100 (%)",
    "[technology.geo]\njitter = 3": "technology.geo: unknown key 'jitter' (= 3); allowed: rtt_ms, jitter_ms,"
    " loss_pct (did you mean 'jitter_ms'?)",
    "event = 3": "script: event is 3; allowed: [[event]] tables",
    EVENT.replace("outage", "outtage"): "event 1: kind is 'outtage'; allowed: outage, loss, slow, blind, power"
    " (did you mean 'outage'?)",
    EVENT.replace("start_s = 1\n", ""): "event 1: start_s is missing; allowed: seconds from 0",
    EVENT.replace("= 1", "= -1"): "event 1: start_s is -1; allowed: seconds from 0",
    EVENT.replace("= 1", "= nan"): "event 1: start_s is nan; allowed: seconds from 0",
    EVENT.replace("= 2", "= 0"): "event 1: duration_s is 0; allowed: seconds above 0",
    EVENT.replace("duration_s", "duration"): "event 1: duration_s is missing; allowed: seconds above 0",
    EVENT + "loss_pct = 5": "event 1: loss_pct is 5; allowed: nothing, it belongs to kind 'loss'",
    EVENT.replace("outage", "slow"): f"event 1: rtt_ms is missing; allowed: {A_DELAY}",
    EVENT.replace("outage", "loss") + "loss_pct = 0": "event 1: loss_pct is 0; allowed: above 0 to 100 (%)",
    EVENT.replace("outage", "blind") + "select = {}": "event 1: select is {}; allowed: nothing,"
    " a blind event silences everything",
    EVENT + "select = { region = '6402' }": "event 1, select: region is '6402'; allowed:"
    " a code by dotted parts, like 64, 64.02 or 64.02.05.2003",
    EVENT + "select = { technology = 'sat' }": "event 1, select: technology is 'sat'; allowed: " + A_TECHNOLOGY,
    EVENT + "select = { kind = 'tower' }": "event 1, select: kind is 'tower'; allowed: access_point, node",
    EVENT + "select = { sites = [] }": "event 1, select: sites is []; allowed:"
    " a list of site codes, like ['64.02.05.2003-01']",
    EVENT + "select = { fraction = 1.1 }": "event 1, select: fraction is 1.1; allowed: above 0 to 1",
}


@pytest.mark.parametrize(("text", "problem"), MISTAKES.items())
def test_an_error_names_its_location_value_and_what_is_allowed(text: str, problem: str) -> None:
    with pytest.raises(ScriptError) as caught:
        parse(text)
    assert problem in caught.value.problems


def test_all_errors_are_reported_at_once_with_the_number_of_their_event() -> None:
    with pytest.raises(ScriptError) as caught:
        parse("seed = 'x'\n" + EVENT + EVENT.replace("= 2", "= -2") + EVENT + "oops = 1")
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["script", "event 2", "event 3"]


def test_invalid_toml_is_reported_with_its_position() -> None:
    with pytest.raises(ScriptError, match=r"not TOML: .*line 1"):
        parse("seed = = 1")


def test_the_default_script_has_agents_and_others_those_they_configure() -> None:
    assert load(None).agents == AgentBehaviour()
    assert parse("").agents is None
    assert parse("agents = false").agents is None
    assert parse("agents = true").agents == AgentBehaviour()
    asked = "[agents]\nall = true\nduplicate_pct = 20\nlate_pct = 10\nlate_s = 90\nlog = true\nstop_s = 600"
    assert parse(asked).agents == AgentBehaviour(
        all=True, duplicate_pct=20, late_pct=10, late_s=90, log=True, stop_s=600
    )
    assert (parse("send_every_s = 30").send_every_s, parse("registered_s = 90").registered_s) == (30, 90)


@pytest.mark.parametrize(
    ("text", "problem"),
    {
        "agents = 3": "script: agents is 3; allowed: true, false or a table",
        "[agents]\nlate_pct = 101": "agents: late_pct is 101; allowed: 0 to 100 (%)",
        "[agents]\nduplicates = 1": "unknown key 'duplicates'",
        f"lively = true\n{EVENT}": "script: lively = true draws its own events",
    }.items(),
)
def test_an_error_in_agents_is_named(text: str, problem: str) -> None:
    with pytest.raises(ScriptError) as caught:
        parse(text)
    assert any(problem in said for said in caught.value.problems)
