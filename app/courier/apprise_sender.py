"""Delivery by a plug-in of Apprise: one of the allow-list, with its HTTP under our rules.

A plug-in tells no more than whether it succeeded. What the service answered is seen by the session that `requests` is
given instead of its own: it follows no redirects, reads answers with bounds, and ignores proxies and .netrc.
"""

import importlib
import threading
import warnings
from functools import cache
from html import escape
from typing import Any

import apprise
import requests
from requests import sessions

from app.alerts.gsm import LENGTH, gsm_length
from app.alerts.services import SERVICES
from app.core.clock import utc_now
from app.courier import http_answer
from app.courier.contract import Answer, DeliveryOutcome, Message, Receiver, answer_of_status

TIMEOUT_S = 10.0
PROBLEM = "not accepted by the service"
TAKES_TEXT_FOR_HTML = frozenset({"tgram"})  # its plug-in sends plain text unescaped, and Telegram refuses a lone <

_exchange = threading.local()


class BoundedSession(requests.Session):
    """What the thread's last request was answered is left in `_exchange.answer`."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        options |= {"allow_redirects": False, "stream": True, "timeout": TIMEOUT_S, "proxies": {}, "verify": True}
        try:
            response = super().send(request, **options)
            response._content = http_answer.read_bounded(response.iter_content(8_192))
        except requests.Timeout:
            _note(Answer(DeliveryOutcome.FAILED, "no answer in time"))
            raise
        except requests.RequestException:
            _note(Answer(DeliveryOutcome.FAILED, "no connection"))
            raise
        response._content_consumed = True
        response.close()
        retry = http_answer.retry_after_s(response.headers.get("Retry-After"), utc_now())
        found = http_answer.receiver_id(response._content)
        _note(answer_of_status(response.status_code, receiver_id=found, retry_after_s=retry))
        return response


def _note(answer: Answer) -> None:
    """Keep it, unless an earlier request of the same delivery failed: a plug-in may go on to other recipients."""
    before: Answer | None = getattr(_exchange, "answer", None)
    if before is None or before.outcome is DeliveryOutcome.ACCEPTED:
        _exchange.answer = answer


@cache
def _set_up() -> apprise.AppriseAsset:
    """Give `requests` our session."""
    requests.Session = sessions.Session = BoundedSession  # type: ignore[misc]
    return apprise.AppriseAsset(app_id="Sinyal Desa", async_mode=False, http_redirects=False, secure_logging=True)


@cache
def _plugin(schema: str) -> Any:
    service = SERVICES[schema]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(importlib.import_module(f"apprise.plugins.{service.module}"), service.plugin)


def prepare(schema: str) -> None:
    """Load the plug-in, which may not happen in a guarded thread."""
    _set_up()
    _plugin(schema)


def send(message: Message, receiver: Receiver) -> Answer:
    notifier = open_notifier(receiver)
    if notifier is None:
        return Answer(DeliveryOutcome.REFUSED, "the channel's URL is not one of this service")
    _exchange.answer = None
    title, text = "" if message.is_short else message.title, text_with_key(message)
    if receiver.service in TAKES_TEXT_FOR_HTML:
        is_accepted = notifier.notify(title=escape(title), body=escape(text), body_format=apprise.NotifyFormat.HTML)
    else:
        is_accepted = notifier.notify(title=title, body=text, body_format=apprise.NotifyFormat.TEXT)
    answer: Answer | None = _exchange.answer
    if is_accepted:
        return (
            answer
            if answer is not None and answer.outcome is DeliveryOutcome.ACCEPTED
            else Answer(DeliveryOutcome.ACCEPTED)
        )
    if answer is None or answer.outcome is DeliveryOutcome.ACCEPTED:
        status = None if answer is None else answer.http_status
        return Answer(DeliveryOutcome.FAILED, PROBLEM, status)
    return answer


def open_notifier(receiver: Receiver) -> Any | None:
    """Return the plug-in's object for the URL, None if it is none of this service."""
    asset, plugin = _set_up(), _plugin(receiver.service)
    try:
        parsed = plugin.parse_url(receiver.url)
        if not parsed:
            return None
        notifier = plugin(asset=asset, **parsed)
    except (TypeError, ValueError, apprise.exception.AppriseException):
        return None
    notifier.socket_connect_timeout = notifier.socket_read_timeout = TIMEOUT_S
    return notifier


def text_with_key(message: Message) -> str:
    """Return the text with the key in its last line; an SMS has its beginning, if there is room."""
    if not message.is_short:
        return f"{message.text}\n\n[{message.key}]"
    brief = f"{message.text} #{str(message.key)[:8]}"
    return brief if gsm_length(brief) <= LENGTH else message.text
