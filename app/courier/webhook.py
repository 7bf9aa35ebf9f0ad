"""Delivery to a webhook: signed JSON, posted once; redirects and the environment's proxies are not followed."""

import hashlib
import hmac
import ssl
from datetime import datetime
from functools import cache
from typing import Any

import httpx
import orjson

from app.core.clock import utc_now
from app.courier import http_answer
from app.courier.contract import Answer, DeliveryOutcome, Message, Receiver, answer_of_status

TIMEOUT_S = 10.0
USER_AGENT = "SinyalDesa/1 (+https://sinyal.kaltimprov.go.id)"


def send(message: Message, receiver: Receiver) -> Answer:
    body = orjson.dumps(payload(message))
    headers = sign(body, message, receiver, now=utc_now()) | {"Content-Type": "application/json"}
    try:
        with (
            httpx.Client(trust_env=False, follow_redirects=False, timeout=TIMEOUT_S, verify=_trusted()) as client,
            client.stream("POST", receiver.url, content=body, headers=headers) as response,
        ):
            retry = http_answer.retry_after_s(response.headers.get("Retry-After"), utc_now())
            status, answered = response.status_code, http_answer.read_bounded(response.iter_bytes())
    except httpx.HTTPError as error:
        return Answer(DeliveryOutcome.FAILED, _describe(error))
    return answer_of_status(status, receiver_id=http_answer.receiver_id(answered), retry_after_s=retry)


@cache
def _trusted() -> ssl.SSLContext:
    """The machine's own certificate authorities, as for e-mail."""
    return ssl.create_default_context()


def payload(message: Message) -> dict[str, Any]:
    """Return the body, as docs/webhooks.md describes it."""
    return {
        "key": str(message.key),
        "kind": message.kind,
        "title": message.title,
        "text": message.text,
        "links": message.links,
        "content": message.content,
    }


def sign(body: bytes, message: Message, receiver: Receiver, *, now: datetime) -> dict[str, str]:
    timestamp = str(int(now.timestamp()))
    headers = {"User-Agent": USER_AGENT, "X-Sinyal-Key": str(message.key), "X-Sinyal-Timestamp": timestamp}
    if receiver.secret is not None:
        signed = hmac.digest(receiver.secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
        headers["X-Sinyal-Signature"] = f"v1={signed.hex()}"
    return headers


def _describe(error: httpx.HTTPError) -> str:
    """The error's own text may hold the URL."""
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.ConnectError):
        return "no connection"
    return "the connection ended before an answer"
