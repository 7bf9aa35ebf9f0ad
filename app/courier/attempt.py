"""One attempt to deliver: in a thread of its own, with its connections checked, cut off at a deadline."""

import asyncio
import importlib
import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime

import structlog

from app.alerts.services import OWN, SERVICES, WEBHOOK
from app.core.clock import utc_now
from app.core.redaction import describe
from app.courier.contract import Answer, DeliveryOutcome, Message, Receiver, Sender
from app.courier.egress import Egress
from probes.policy import AddressPolicy

log = structlog.get_logger()

DEADLINE_S = 20.0
LOG_URLS = ("apprise", "httpcore", "httpx", "requests", "urllib3")  # libraries, and with them tokens


@dataclass(frozen=True, slots=True)
class Attempt:
    """`thread` is done when its thread has ended: beyond the deadline it may hang in a name's resolution."""

    started_at: datetime
    took_ms: int
    answer: Answer
    thread: "asyncio.Future[Answer]"


async def attempt(
    message: Message, receiver: Receiver, policy: AddressPolicy, *, deadline_s: float = DEADLINE_S
) -> Attempt:
    """Never raises."""
    started_at, started = utc_now(), time.perf_counter()
    egress, done = Egress(policy), Future[Answer]()
    done.set_running_or_notify_cancel()
    threading.Thread(target=_run, args=(message, receiver, egress, done), name="delivery", daemon=True).start()
    thread = asyncio.wrap_future(done)
    await asyncio.wait([thread], timeout=deadline_s)
    if thread.done():
        answer = thread.result()
    else:
        egress.cut()
        answer = Answer(DeliveryOutcome.FAILED, f"no answer within {deadline_s:g} s")
    return Attempt(started_at, int((time.perf_counter() - started) * 1000), answer, thread)


def _run(message: Message, receiver: Receiver, egress: Egress, done: Future[Answer]) -> None:
    try:
        answer = _send(message, receiver, egress)
    except Exception as error:  # of a library, or of what a receiver sent; its text may hold the URL
        if egress.problem is None:
            log.warning("delivery_raised", service=receiver.service, error=describe(error).partition(":")[0])
        answer = Answer(DeliveryOutcome.FAILED, "the delivery failed unexpectedly")
    if egress.problem is not None and answer.outcome is not DeliveryOutcome.ACCEPTED:
        answer = Answer(DeliveryOutcome.REFUSED, egress.problem)
    done.set_result(answer)


def _send(message: Message, receiver: Receiver, egress: Egress) -> Answer:
    if receiver.service != WEBHOOK and receiver.service not in SERVICES:
        return Answer(DeliveryOutcome.REFUSED, "alerts are no longer delivered by this service")
    sender = load_sender(receiver.service)
    with egress.guarding():
        return sender(message, receiver)


def load_sender(service: str) -> Sender:
    """Import what the service needs, when it is first needed: Apprise takes memory."""
    for name in LOG_URLS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    own = {WEBHOOK: "webhook"} | {name: "email_sender" for name, each in SERVICES.items() if each.module == OWN}
    module = importlib.import_module(f"app.courier.{own.get(service, 'apprise_sender')}")
    if service not in own:
        module.prepare(service)
    sender: Sender = module.send
    return sender
