"""`python -m simulator.agents_main`: the sites' own side of the network, in a process of its own.

An agent for every site that reports itself, and the object that the others' speed is tested with. What happens is told
by the simulator over standard input, a JSON line each (see `simulator.agents_process`); its end is the end.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.profiles import Profile, Technology, profiles
from simulator import shaped_server
from simulator.agent import Agent, Cadence, World
from simulator.agent_secret import ENV
from simulator.clock import Clock
from simulator.host_plan import Host, Plan
from simulator.journal import Journal
from simulator.network_model import Acting, Weather
from simulator.script import Agents, Event, EventKind, Script, load
from simulator.shaped_server import Shape
from simulator.site_form import SPEED_PORT
from simulator.speedtest import shape

_FLUSH_S = 1.0
_LINE = 1 << 24

logger = logging.getLogger("agents")


class Field:
    def __init__(self, script: Script, clock: Clock, journal: Journal, *, server: str, secret: str) -> None:
        self._script = script
        self.weather = Weather(Plan(script, ()))
        says = script.agents or Agents()
        self._world = World(self.weather, clock, server, secret, script.seed, says, journal)
        self.agents: dict[str, Agent] = {}
        self._shapes: dict[str, Shape] = {}

    def adopt(self, hosts: Sequence[Host]) -> None:
        """Who is new begins, who is gone ends."""
        plan = Plan(self._script, hosts)
        self.weather.adopt(plan)
        self._shapes = {host.address: shape(host) for host in plan.hosts if host.probe != "push"}
        wanted = {host.code: host for host in plan.hosts if host.probe == "push"}
        for code in self.agents.keys() - wanted.keys():
            self.agents.pop(code).stop()
        for code, host in wanted.items():
            if code not in self.agents:
                self.agents[code] = Agent(host, cadence(profiles()[Technology(host.technology)]), self._world)
                self.agents[code].start()
            self.agents[code].host = host

    def act(self, acting: Acting) -> None:
        self.weather.act([acting], acting.start_s)
        if acting.event.kind is EventKind.POWER:
            for code in acting.codes:
                if code in self.agents:
                    self.agents[code].power_cut(acting.end_s)

    def shape_of(self, address: str) -> Shape:
        return self._shapes.get(address, Shape(100.0))

    def stop(self) -> None:
        for agent in self.agents.values():
            agent.stop()


def cadence(profile: Profile) -> Cadence:
    return Cadence(profile.beat_s, profile.send_every_s, profile.timeout_ms / 1000)


def acting_of(told: Mapping[str, Any]) -> Acting:
    event = Event(
        EventKind(told["kind"]),
        told["start_s"],
        told["end_s"] - told["start_s"],
        loss_pct=told["loss_pct"],
        rtt_ms=told["rtt_ms"],
    )
    return Acting(event, tuple(told["codes"]), told["start_s"], told["end_s"])


async def run(script: Script, folder: Path, *, server: str, secret: str) -> None:
    journal = Journal(folder if script.agents is not None and script.agents.log else None)
    told, field = await _stdin(), None
    with contextlib.closing(journal):
        flushing = asyncio.create_task(_flush(journal))
        serving: asyncio.Server | None = None
        while line := await told.readline():
            said = json.loads(line)
            if field is None:  # the first line tells the time
                field = Field(script, Clock(said["start_ns"]), journal, server=server, secret=secret)
                serving = await shaped_server.start(field.shape_of, host="0.0.0.0", port=SPEED_PORT)  # noqa: S104  # inside
            elif "hosts" in said:
                field.adopt([Host(*host) for host in said["hosts"]])
                logger.info("%d sites report themselves", len(field.agents))
            else:
                field.act(acting_of(said))
        flushing.cancel()
        if field is not None:
            field.stop()
        if serving is not None:
            serving.close()


async def _stdin() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def _flush(journal: Journal) -> None:
    while True:
        await asyncio.sleep(_FLUSH_S)
        journal.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m simulator.agents_main", description=__doc__)
    parser.add_argument("--script", type=Path)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--server", required=True, help="where the agents push to, like http://127.254.0.1:8000")
    options = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="agents: %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(PermissionError, OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 5)  # punctual is whoever answers pings; these may wait
    asyncio.run(run(load(options.script), options.data_dir, server=options.server, secret=os.environ[ENV]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
