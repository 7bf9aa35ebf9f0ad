"""`python -m simulator.agents_main`: the devices at the sites, in a process of its own.

Runs an agent for every push site, and serves the object that the speed of the other sites is tested with. The simulator
sends hosts and events over standard input, a JSON line each (see `simulator.agents_process`); its end ends this.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.profiles import Profile, Technology, profiles
from simulator import shaped_server
from simulator.agent import Agent, AgentContext, Cadence
from simulator.agent_secret import ENV
from simulator.clock import Clock
from simulator.host_plan import HostPlan, SimulatedHost
from simulator.journal import AgentLog
from simulator.network_model import ActiveEvent, NetworkModel
from simulator.script import AgentBehaviour, EventKind, Script, ScriptEvent, load
from simulator.shaped_server import Shape
from simulator.site_fields import SPEED_PORT
from simulator.speedtest import link_shape

_FLUSH_S = 1.0
_MAX_LINE_BYTES = 1 << 24

logger = logging.getLogger("agents")


class AgentFleet:
    def __init__(self, script: Script, clock: Clock, journal: AgentLog, *, server: str, secret: str) -> None:
        self._script = script
        self.network = NetworkModel(HostPlan(script, ()))
        behaviour = script.agents or AgentBehaviour()
        self._context = AgentContext(self.network, clock, server, secret, script.seed, behaviour, journal)
        self.agents: dict[str, Agent] = {}
        self._shapes: dict[str, Shape] = {}

    def set_hosts(self, hosts: Sequence[SimulatedHost]) -> None:
        """Start the agents of new sites, stop those of sites that are gone."""
        plan = HostPlan(self._script, hosts)
        self.network.set_plan(plan)
        self._shapes = {host.address: link_shape(host) for host in plan.hosts if host.probe != "push"}
        wanted = {host.code: host for host in plan.hosts if host.probe == "push"}
        for code in self.agents.keys() - wanted.keys():
            self.agents.pop(code).stop()
        for code, host in wanted.items():
            if code not in self.agents:
                self.agents[code] = Agent(host, cadence_of(profiles()[Technology(host.technology)]), self._context)
                self.agents[code].start()
            self.agents[code].host = host

    def begin_event(self, active: ActiveEvent) -> None:
        self.network.begin([active], active.start_s)
        if active.event.kind is EventKind.POWER:
            for code in active.codes:
                if code in self.agents:
                    self.agents[code].power_cut(active.end_s)

    def shape_of(self, address: str) -> Shape:
        return self._shapes.get(address, Shape(100.0))

    def is_cut(self, address: str) -> bool:
        return self.network.is_cut(address, self._context.clock.since_start(time.monotonic_ns()))

    def stop(self) -> None:
        for agent in self.agents.values():
            agent.stop()


def cadence_of(profile: Profile) -> Cadence:
    return Cadence(profile.beat_s, profile.send_every_s, profile.timeout_ms / 1000)


def decode_event(message: Mapping[str, Any]) -> ActiveEvent:
    event = ScriptEvent(
        EventKind(message["kind"]),
        message["start_s"],
        message["end_s"] - message["start_s"],
        loss_pct=message["loss_pct"],
        rtt_ms=message["rtt_ms"],
    )
    return ActiveEvent(event, tuple(message["codes"]), message["start_s"], message["end_s"])


async def run(script: Script, folder: Path, *, server: str, secret: str) -> None:
    journal = AgentLog(folder if script.agents is not None and script.agents.log else None)
    messages, fleet = await _stdin(), None
    with contextlib.closing(journal):
        flushing = asyncio.create_task(_flush(journal))
        serving: asyncio.Server | None = None
        while line := await messages.readline():
            message = json.loads(line)
            if fleet is None:  # the first line is the start of the clock
                fleet = AgentFleet(script, Clock(message["start_ns"]), journal, server=server, secret=secret)
                serving = await shaped_server.start(
                    fleet.shape_of,
                    host="0.0.0.0",  # noqa: S104  # inside
                    port=SPEED_PORT,
                    is_cut=fleet.is_cut,
                )
            elif "hosts" in message:
                fleet.set_hosts([SimulatedHost(*host) for host in message["hosts"]])
                logger.info("%d sites report through an agent", len(fleet.agents))
            else:
                fleet.begin_event(decode_event(message))
        flushing.cancel()
        if fleet is not None:
            fleet.stop()
        if serving is not None:
            serving.close()


async def _stdin() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(_MAX_LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def _flush(journal: AgentLog) -> None:
    while True:
        await asyncio.sleep(_FLUSH_S)
        journal.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m simulator.agents_main", description=__doc__)
    parser.add_argument("--script", type=Path)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--server", required=True, help="URL that the agents push to, like http://127.254.0.1:8000")
    options = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="agents: %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(PermissionError, OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 5)  # the process that answers pings must be punctual, this one may wait
    asyncio.run(run(load(options.script), options.data_dir, server=options.server, secret=os.environ[ENV]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
