"""Ping the hosts of a file with icmplib; print JSON like `sinyal ping --json`."""

import asyncio
import sys
from pathlib import Path

import icmplib
import orjson


async def main(hosts: list[str]) -> None:
    answers = await icmplib.async_multiping(hosts, count=1, interval=0, timeout=2, concurrent_tasks=500)
    rows = [{"host": answer.address, "rtt_ms": answer.rtts} for answer in answers]
    print(orjson.dumps({"hosts": rows}).decode())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).read_text().split()))
