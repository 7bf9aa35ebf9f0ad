"""Some 400 places where a probe may not go: none is registered, none is sent to, and a listener shows it."""

import json
import socket
import subprocess
import sys
from ipaddress import IPv6Address, ip_address
from typing import Any

import pytest
from fastapi import FastAPI

from app.settings import ROOT, ProbeSettings, Settings
from probes.policy import AddressPolicy
from simulator.namespace import Namespace
from tests.conftest import Cast
from tests.factories import site
from tests.probes import forbidden

HOSTS = [*forbidden.ADDRESSES, *(form for form, _ in forbidden.DISGUISED), *forbidden.ODD]
PUBLIC = ["icmp", forbidden.OUTSIDE], ["tcp", forbidden.OUTSIDE]

Steps = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def steps(answering: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Steps:
    """What real probes did of these targets where every address is within reach: see tests/probes/arrivals.py."""
    folder = tmp_path_factory.mktemp("forbidden")
    (folder / "resolv.conf").write_text("nameserver 127.0.0.53\n")
    argv = ["unshare", "--net", "--mount", sys.executable, "-m", "tests.probes.arrivals", str(folder)]
    ended = subprocess.run(answering.command(argv), cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)  # type: ignore[no-any-return]


def outcomes(step: dict[str, Any]) -> set[str]:
    return {outcome for _, outcome, _ in step["readings"]}


def test_there_are_enough_forbidden_targets_and_disguises_are_what_they_hide(record_property: Any) -> None:
    assert [form for form, inside in forbidden.DISGUISED if socket.inet_aton(form) != socket.inet_aton(inside)] == []
    assert len(set(HOSTS) | set(forbidden.URLS)) == len(HOSTS) + len(forbidden.URLS)
    assert forbidden.COUNT >= 150
    record_property("forbidden targets", forbidden.COUNT)


def test_a_forbidden_target_in_any_spelling_is_never_sent_to(steps: Steps) -> None:
    assert len(steps["hosts"]["readings"]) == 3 * len(HOSTS)
    for step in ("hosts", "urls"):
        assert (outcomes(steps[step]), steps[step]["arrived"]) == ({"fault"}, [])
    for label, _, reason in steps["hosts"]["readings"]:
        kind, _, host = label.partition(" ")
        if kind != "http" or host not in forbidden.ODD:  # in a URL, they are other names
            assert "may not go" in reason or "neither" in reason or "not an http" in reason, (label, reason)


def test_a_name_is_judged_by_what_it_resolves_to(steps: Steps) -> None:
    assert (outcomes(steps["names"]), steps["names"]["arrived"]) == ({"fault"}, [])


def test_a_name_that_is_bound_to_another_address_later_is_judged_again(steps: Steps) -> None:
    before, after = steps["names before"], steps["names rebound"]
    assert (outcomes(before), before["arrived"]) == ({"ok"}, [*PUBLIC])
    assert (outcomes(after), after["arrived"]) == ({"fault"}, [])


def test_redirects_are_an_answer_and_are_not_followed(steps: Steps) -> None:
    assert (outcomes(steps["redirects"]), steps["redirects"]["arrived"]) == ({"ok"}, [PUBLIC[1]])


def test_the_listeners_receive_all_of_them_once_a_policy_denies_nothing(steps: Steps) -> None:
    reached = {label.partition(" ")[2] for label, outcome, _ in steps["allowed hosts"]["readings"] if outcome == "ok"}
    assert all(map(never_answers, set(forbidden.ADDRESSES) - reached))
    assert len(reached) > 140
    named = [outcome for _, outcome, _ in steps["allowed names"]["readings"]]
    assert named.count("ok") > 80
    assert len(steps["allowed hosts"]["arrived"]) > 200


def never_answers(form: str) -> bool:
    address = ip_address(form)
    inside = (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
    return inside.is_multicast or str(inside) == "255.255.255.255"


@pytest.fixture
def strict(app: FastAPI) -> None:
    app.state.policy = AddressPolicy()


async def test_no_forbidden_target_can_be_registered(cast: Cast, strict: None) -> None:
    let_in = []
    for host in (*HOSTS, *forbidden.LOCAL_NAMES, "localhost"):
        answer = await cast.ana.post("/sites", site(host=host))
        if answer.status_code != 422 or {fault["field"] for fault in answer.json()["errors"]} != {"host"}:
            let_in.append((host, answer.text))
    for url in (*forbidden.URLS, *(f"http://{name}:{{port}}/" for name in forbidden.LOCAL_NAMES)):
        filled = url.replace("{port}", "8080")
        answer = await cast.ana.post("/sites", site(host=None, probe="http", url=filled, speed_url=filled))
        fields = {fault["field"] for fault in answer.json()["errors"]} if answer.status_code == 422 else set()
        if not fields >= {"url", "speed_url"}:
            let_in.append((url, answer.text))
    assert let_in == []


async def test_no_registered_site_can_be_moved_to_a_forbidden_address(cast: Cast, strict: None) -> None:
    made = (await cast.ana.post("/sites", site())).json()
    for host in forbidden.INSIDE:
        answer = await cast.ana.patch(f"/sites/{made['id']}", {"host": host})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "host"), host
    assert (await cast.ana.get(f"/sites/{made['id']}")).json()["host"] == made["host"]


async def test_a_name_is_registered_and_judged_when_it_is_sent_to(cast: Cast, strict: None) -> None:
    names = {*forbidden.NAMES, *forbidden.REBOUND, "localhost.desa.example", "mylocal", "internal.example"}
    for name in names - {"localhost"}:
        assert (await cast.ana.post("/sites", site(host=name))).status_code == 201, name


async def test_only_the_provinces_settings_allow_a_network(app: FastAPI, cast: Cast, strict: None) -> None:
    inside = site(host="10.0.0.1")
    for person in (cast.ana, cast.sari):
        assert (await person.post("/sites", inside)).status_code == 422
        for field in ("allow", "probe_allow", "probe.allow", "policy"):
            answer = await person.post("/sites", {**inside, field: ["10.0.0.0/8"]})
            assert {fault["code"] for fault in answer.json()["errors"]} == {"extra_forbidden", "forbidden_host"}
    words = {"policy", "allow", "deny", "probes", "networks", "settings"}
    assert [path for path in app.openapi()["paths"] if words & set(path.split("/"))] == []
    app.state.policy = Settings(probe=ProbeSettings(allow=["10.0.0.0/8"])).probe_policy
    assert (await cast.ana.post("/sites", inside)).status_code == 201
