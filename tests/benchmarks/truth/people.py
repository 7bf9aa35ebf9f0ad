"""What people, a forger and a killer do to a running demo, each at its time; written down in actions.jsonl."""

import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx

from simulator.agent_secret import secret_of, token
from tests.benchmarks.truth.scenario import INTERVAL_S, Kill, PlannedAction, PlannedForgery, Scenario
from tests.support.demo_process import Demo, wait_for

T = TypeVar("T")
FIRST_SAMPLE_S, SAMPLE_EVERY_S = 40, 15  # of `/status`
SETTLED_S = 130  # by then nothing of the past changes any more, but by corrections
CHANGES = {
    "suspend": ("lifecycle", "suspended"),
    "resume": ("lifecycle", "active"),
    "retire": ("lifecycle", "retired"),
    "kind": ("kind", None),
    "move": ("village_code", None),
}


class People:
    def __init__(self, running: Demo, scenario: Scenario, started_at: float, log: Path) -> None:
        self.running, self.scenario, self.started_at = running, scenario, started_at
        self.statuses: list[tuple[float, dict[str, str]]] = []  # samples: when, state by site
        self.questions: list[dict[str, Any]] = []  # about the past, to be asked again at the end
        self._log, self._lock = log.open("w", encoding="utf-8"), threading.Lock()
        self._secret = secret_of(running.folder)

    def act(self) -> None:
        """Do everything that is planned, each at its time; return when all is done. Raises what any of it raised."""
        actions: list[tuple[float, Callable[[], None]]] = []
        samples = range(math.ceil(FIRST_SAMPLE_S), int(self.scenario.ends_s), SAMPLE_EVERY_S)
        actions += [(at_s, self._sample) for at_s in samples]
        actions += [(kill.at_s, partial(self._kill, kill)) for kill in self.scenario.kills]
        actions += [(action.at_s, partial(self._change, action)) for action in self.scenario.actions]
        actions += [(forgery.at_s, partial(self._forge, forgery)) for forgery in self.scenario.forgeries]
        with closing(self._log), ThreadPoolExecutor(max(1, len(actions))) as pool:
            for done in [pool.submit(self._at, at_s, action) for at_s, action in actions]:
                done.result()
            for question in self.questions:
                self._ask_again(question)

    def _at(self, at_s: float, action: Callable[[], None]) -> None:
        time.sleep(max(0.0, self.started_at + at_s - time.time()))
        action()

    def _sample(self) -> None:
        at = time.time()
        with suppress(httpx.HTTPError):  # a part of the service was killed
            self.statuses.append((at, {code: row["state"] for code, row in self.running.sites().items()}))

    def _change(self, action: PlannedAction) -> None:
        field, value = CHANGES[action.what]
        questions = self._ask(action) if action.what in ("kind", "move") else []
        began = time.time()
        _answer_of(partial(self._patch, action.code, {field: value or action.value}))
        self._write(what=action.what, site=action.code, began=began, done=time.time(), value=action.value)
        for question in questions:  # of regions at once: later, what other sites report late has corrected them
            if question["question"].startswith("/regions"):
                self._ask_again(question)
            else:
                self.questions.append(question)

    def _patch(self, code: str, body: dict[str, Any]) -> None:
        self.running.client.patch(f"/sites/{code}", json=body).raise_for_status()

    def _ask(self, action: PlannedAction) -> list[dict[str, Any]]:
        """Ask about the settled past before a change: of the site, and of the regions that it is or will be in."""
        first, last = int(self.started_at) + 20, int(time.time()) - SETTLED_S
        if first >= last:  # a short run
            return []
        period = {"from": str(first * 1000), "to": str(last * 1000)}
        villages = {action.code[:13]} | ({action.value} if action.what == "move" and action.value else set())
        paths = [f"/sites/{action.code}/uptime", *(f"/regions/{code}/uptime" for code in around(villages))]
        change = f"{action.what} of {action.code}"
        return [
            {"question": path, "period": period, "change": change, "before": self._figures(path, period)}
            for path in paths
        ]

    def _ask_again(self, question: dict[str, Any]) -> None:
        after = self._figures(question["question"], question["period"])
        self._write(what="snapshot", **{n: question[n] for n in ("question", "change", "before")}, after=after)

    def _figures(self, path: str, period: dict[str, str]) -> dict[str, Any]:
        answer = _answer_of(partial(self.running.get, path, step="hour", **period))
        return {name: answer[name] for name in ("from", "to", "series", "total")}

    def _forge(self, forgery: PlannedForgery) -> None:
        times = [self.started_at + at_s for at_s in _steps(forgery.from_s, forgery.to_s)]
        now, boot = time.time(), f"forged{int(forgery.at_s)}"
        rows = [{"seq": n, **FINE, **_dated(forgery, now, at)} for n, at in enumerate(times)]
        body = {"boot": boot, "uptime_s": UPTIME_S, "sent_at": _iso(now), "batch": rows}
        headers = {"Authorization": f"Bearer {token(self._secret, forgery.code)}"}
        answer = _answer_of(partial(self._push, body, headers))
        rejected = {rejection["row"] for rejection in answer["rejected"]}
        accepted = [at for n, at in enumerate(times) if n not in rejected]
        claimed = {"claimed_from": times[0], "claimed_to": times[-1] + INTERVAL_S}
        self._write(what="forge", site=forgery.code, **claimed, sent=time.time(), rows=accepted)

    def _push(self, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
        answer = self.running.client.post("/push", json=body, headers=headers)
        answer.raise_for_status()
        return dict(answer.json())

    def _kill(self, kill: Kill) -> None:
        """Kill a child of the supervisor, and its successors as long as it is held; wait until one is at work."""
        killed = last = time.time()
        victim = self.running.child(kill.child)
        os.kill(victim, signal.SIGKILL)
        while time.time() < killed + kill.held_s:
            time.sleep(0.05)
            if (successor := _child(self.running, kill.child)) not in (None, victim):
                os.kill(successor or 0, signal.SIGKILL)
                victim, last = successor or 0, time.time()

        def beats() -> bool:
            answer = self.running.client.get(f"{self.running.url}/readyz")
            age_s = answer.json().get("worker_beat_age_s")  # null until an api that was killed has read it
            works = answer.status_code == 200 and age_s is not None and time.time() - age_s > last + 0.5
            return works and _child(self.running, kill.child) != victim

        wait_for(beats, 60, every_s=0.1)
        self._write(what="kill", child=kill.child, killed=killed, back=time.time(), last=last)

    def _write(self, **line: Any) -> None:
        with self._lock:
            self._log.write(json.dumps(line) + "\n")
            self._log.flush()


FINE = {"sent": 3, "rtt_ms": [41.0, 40.5, 42.0]}
UPTIME_S = 86_400.0  # of the invented boot, when its rows are sent


def _answer_of(request: Callable[[], T]) -> T:
    """Send a request until it is answered: the api, or its database, may have been killed."""
    while True:
        try:
            return request()
        except httpx.TransportError:
            time.sleep(0.5)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != 503:
                raise
            time.sleep(0.5)


def around(villages: set[str]) -> list[str]:
    """Return the codes of these villages and of every region above them."""
    return sorted({code[:length] for code in villages for length in (2, 5, 8, 13)})


def _dated(forgery: PlannedForgery, now: float, at: float) -> dict[str, Any]:
    return {"clock": _iso(at)} if forgery.by_clock else {"uptime_s": round(UPTIME_S - (now - at), 2)}


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _steps(from_s: float, to_s: float) -> Iterator[float]:
    return (from_s + n * INTERVAL_S for n in range(math.ceil((to_s - from_s) / INTERVAL_S)))


def _child(running: Demo, name: str) -> int | None:
    try:
        return running.child(name)
    except (AssertionError, OSError):  # it is starting
        return None
