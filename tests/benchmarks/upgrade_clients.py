"""Who asks and who pushes while machines are upgraded, and what each was told."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx

ASKERS, ASKED_EACH_S, PUSHED_EACH_S = 20, 0.2, 10.0


@dataclass
class Clients:
    pages: str
    devices: str
    token: str
    device_tokens: list[str]
    asked: Counter[str] = field(default_factory=Counter)  # by what came of it
    pushed: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    accepted: Counter[str] = field(default_factory=Counter)  # rows, by device
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._ask(number)) for number in range(ASKERS)]
        self._tasks += [asyncio.create_task(self._push(*one)) for one in enumerate(self.device_tokens)]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self, number: int) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(base_url=self.pages, timeout=30, trust_env=False, headers=headers) as client:
            while True:
                began = time.monotonic()
                try:
                    path = "/api/v1/status" if number % 2 else "/api/v1/sites?limit=50"
                    self.asked[str((await client.get(path)).status_code)] += 1
                except httpx.HTTPError as error:
                    self.asked[type(error).__name__] += 1
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                await asyncio.sleep(ASKED_EACH_S)

    async def _push(self, number: int, token: str) -> None:
        """As an agent does: what was not answered 200 is sent again with the next one."""
        headers, seq, waiting = {"Authorization": f"Bearer {token}"}, 0, list[int]()
        await asyncio.sleep(PUSHED_EACH_S * (number % 100) / 100)
        started = time.monotonic() - 1000
        while True:
            seq += 1
            waiting.append(seq)
            uptime = round(time.monotonic() - started)
            rows = [
                {"seq": one, "uptime_s": uptime - (seq - one) * PUSHED_EACH_S, "sent": 3, "rtt_ms": [20, 21, 22]}
                for one in waiting
            ]
            body = {"boot": "upgrade", "uptime_s": uptime, "batch": rows}
            try:
                async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
                    answer = await client.post(f"{self.devices}/api/v1/push", json=body, headers=headers)
                self.pushed[str(answer.status_code)] += 1
                if answer.is_success:
                    told = answer.json()
                    self.accepted[token] += told["accepted"]
                    self.pushed["duplicates"] += told["duplicates"]
                    self.pushed["rejected rows"] += len(told["rejected"])
                    waiting.clear()
            except httpx.HTTPError as error:
                self.pushed[type(error).__name__] += 1
            await asyncio.sleep(PUSHED_EACH_S)
