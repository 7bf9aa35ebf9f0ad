"""Each sender against a real receiver on loopback, in the thread and under the guard that the courier uses."""

import hashlib
import hmac
import json
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_plus
from uuid import UUID

import pytest
import requests

from app.alerts.services import OWN, SERVICES
from app.courier import apprise_sender
from app.courier.attempt import attempt
from app.courier.contract import Answer, DeliveryOutcome, Message, Receiver
from app.courier.email_sender import Mailbox
from probes.policy import AddressPolicy
from tests.support.receivers import (
    CLOSE,
    FAILURE,
    HANG,
    OK,
    TRICKLE,
    HttpReceiver,
    Reply,
    SmtpReceiver,
    busy,
    http_receiver,
    redirect,
    smtp_receiver,
)

KEY = UUID("6d1f1c60-7a1e-4d0e-9a53-3f0f6a1f7b11")
TEXT = "Loa Duri Ilir putus sejak 14.05 WITA\n<b>& 5 lainnya</b>"
LOOPBACK = AddressPolicy(allow=["127.0.0.0/8"])
SECRET = "s3cret-t0ken"


@pytest.fixture(scope="module")
def http() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def smtp() -> Iterator[SmtpReceiver]:
    with smtp_receiver() as receiver:
        yield receiver


def message(**changes: Any) -> Message:
    values = {"key": KEY, "kind": "onset", "title": "1 titik akses putus", "text": TEXT, "is_short": False}
    return Message(**{**values, "content": {"kind": "onset"}, "links": {"details": None}, **changes})


async def deliver(
    url: str, service: str = "webhook", secret: str | None = None, deadline_s: float = 20, **changes: Any
) -> Answer:
    receiver = Receiver(service, url, secret)
    assert url not in repr(receiver)
    done = await attempt(message(**changes), receiver, LOOPBACK, deadline_s=deadline_s)
    await done.thread
    return done.answer


async def test_a_webhook_is_posted_as_json_with_its_key_and_signed_over_time_and_body(http: HttpReceiver) -> None:
    answer = await deliver(f"{http.url}/signed?k={SECRET}", secret="shared secret")
    assert (answer.outcome, answer.http_status, answer.receiver_id) == (DeliveryOutcome.ACCEPTED, 200, "receiver-1")
    [received] = http.accepted(f"/signed?k={SECRET}")
    headers, body = received.headers, json.loads(received.body)
    signed = f"{headers['x-sinyal-timestamp']}.".encode() + received.body
    assert headers["x-sinyal-signature"] == "v1=" + hmac.new(b"shared secret", signed, hashlib.sha256).hexdigest()
    assert (headers["x-sinyal-key"], body["key"]) == (str(KEY), str(KEY))
    assert (body["title"], body["text"], body["content"]) == ("1 titik akses putus", TEXT, {"kind": "onset"})
    assert headers["user-agent"].startswith("SinyalDesa/")


async def test_what_a_receiver_answers_decides_and_a_slow_one_is_cut_off(http: HttpReceiver) -> None:
    http.reply("/busy", busy(120))
    http.reply("/moved", redirect(f"{http.url}/other"))
    http.reply("/gone", Reply(410))
    http.reply("/failure", FAILURE)
    http.reply("/hang", HANG)
    http.reply("/trickle", TRICKLE)
    http.reply("/close", CLOSE)
    http.reply("/huge", Reply(200, body=b"x" * 3_000_000))
    answers = {path: await deliver(http.url + path) for path in ("/busy", "/moved", "/gone", "/failure", "/huge")}
    assert answers["/busy"] == Answer(DeliveryOutcome.FAILED, "HTTP 429", 429, None, 120)
    assert answers["/moved"] == Answer(DeliveryOutcome.REFUSED, "HTTP 302, and redirects are not followed", 302)
    assert http.accepted("/other") == []
    assert (answers["/gone"].outcome, answers["/failure"].outcome) == (DeliveryOutcome.REFUSED, DeliveryOutcome.FAILED)
    assert answers["/huge"].outcome is DeliveryOutcome.ACCEPTED
    assert (await deliver(f"{http.url}/hang", deadline_s=1)).problem == "no answer within 1 s"
    assert (await deliver(f"{http.url}/trickle", deadline_s=1)).outcome is not DeliveryOutcome.REFUSED
    assert (await deliver(f"{http.url}/close")).problem == "the connection ended before an answer"
    assert (await deliver("http://127.0.0.1:1/")).problem == "no connection"


async def test_proxies_of_the_environment_are_not_asked(http: HttpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await deliver(f"{http.url}/direct")).outcome is DeliveryOutcome.ACCEPTED
    assert (await deliver(f"gotify://127.0.0.1:{http.port}/{SECRET}", "gotify")).outcome is DeliveryOutcome.ACCEPTED


async def test_an_email_has_the_key_in_its_message_id_and_the_servers_answer_is_kept(smtp: SmtpReceiver) -> None:
    url = f"mailto://jaga@{smtp.address}/a@kukarkab.go.id/b@kukarkab.go.id?from=sinyal@kaltimprov.go.id"
    answer = await deliver(url, "mailto")
    assert (answer.outcome, answer.receiver_id) == (DeliveryOutcome.ACCEPTED, "receiver says 250")
    to_a, to_b = smtp.accepted("a@kukarkab.go.id")[-1], smtp.accepted("b@kukarkab.go.id")[-1]
    assert (to_a.key, to_b.key, to_a.headers["message-id"]) == (KEY, KEY, f"<{KEY}@kaltimprov.go.id>")
    assert (to_a.headers["subject"], to_a.headers["auto-submitted"]) == ("1 titik akses putus", "auto-generated")
    assert to_a.text.replace("\r\n", "\n").strip() == TEXT


async def test_an_email_may_be_long_and_say_anything(smtp: SmtpReceiver) -> None:
    text = "\n".join([f"{TEXT} – „Sungai Kunyit‟ ({number})" for number in range(60)] + [".", "", "x" * 2_000])
    answer = await deliver(f"mailto://{smtp.address}/long@x.go.id", "mailto", text=text, title="Putus – " + "é" * 200)
    assert answer.outcome is DeliveryOutcome.ACCEPTED
    assert smtp.accepted("long@x.go.id")[0].text.replace("\r\n", "\n").strip() == text


async def test_a_mail_server_refuses_for_good_or_for_now(smtp: SmtpReceiver) -> None:
    smtp.reply("full@x.go.id", Reply(452))
    smtp.reply("unknown@x.go.id", Reply(550))
    smtp.reply("slow@x.go.id", HANG)

    async def to(recipient: str, **changes: Any) -> Answer:
        return await deliver(f"mailto://{smtp.address}/{recipient}", "mailto", **changes)

    assert await to("full@x.go.id") == Answer(DeliveryOutcome.FAILED, "SMTP 452")
    assert await to("unknown@x.go.id") == Answer(DeliveryOutcome.REFUSED, "SMTP 550")
    assert (await to("slow@x.go.id", deadline_s=1)).outcome is DeliveryOutcome.FAILED
    refused = await deliver(f"mailtos://{smtp.address}/a@x.go.id", "mailtos")
    assert refused == Answer(DeliveryOutcome.REFUSED, "the mail server does not offer what the channel needs")
    no_address = await to("a@x.go.id%0d%0aBcc:evil@x.go.id")
    assert no_address == Answer(DeliveryOutcome.REFUSED, "the channel's URL names no mailbox")
    assert (await to("a@x.go.id", title="Putus\r\nBcc: evil@x.go.id")).outcome is DeliveryOutcome.REFUSED


def test_an_apprise_url_of_a_mailbox_is_read_as_apprise_reads_it() -> None:
    box = Mailbox.parse("mailtos://jaga:p%40ss@x.go.id/a@x.go.id,b@x.go.id?smtp=mail.x.go.id&mode=ssl&cc=c@x.go.id")
    assert (box.host, box.port, box.user, box.password) == ("mail.x.go.id", 465, "jaga", "p@ss")
    assert (box.sender, box.recipients, box.copies) == ("jaga@x.go.id", ("a@x.go.id", "b@x.go.id"), ("c@x.go.id",))
    assert Mailbox.parse("mailtos://x.go.id/a@x.go.id").port == 587
    assert "p@ss" not in repr(box)


async def test_a_plug_in_of_apprise_delivers_with_the_key_in_the_last_line(http: HttpReceiver) -> None:
    http.reply("/jaga", Reply(200, body=b'{"id": "ntfy7"}'))
    http.reply("/", Reply(200, body=b'{"id": "ntfy7"}'))
    answer = await deliver(f"ntfy://127.0.0.1:{http.port}/jaga", "ntfy")
    assert (answer.outcome, answer.http_status, answer.receiver_id) == (DeliveryOutcome.ACCEPTED, 200, "ntfy7")
    assert json.loads(http.received[-1].body)["message"] == f"{TEXT}\n\n[{KEY}]"


@pytest.mark.parametrize(
    ("service", "url", "shown"),
    [
        ("tgram", "tgram://123456789:abcdefghijklmnopqrstuvwxyz012345678/-100200300", "&lt;b&gt;"),
        ("slack", f"slack://T12345678/B12345678/{'a' * 24}", "&lt;b&gt;"),
        ("mailgun", f"mailgun://sinyal@server.example/{'a' * 32}-{'b' * 8}-{'c' * 8}/jaga@x.go.id", "&lt;b&gt;"),
        ("gotify", "gotify://127.0.0.1/AbCdEf12345", "<b>"),
    ],
)
def test_plain_text_stays_text_where_a_service_takes_markup(
    service: str, url: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    def answer(_: requests.Session, request: requests.PreparedRequest, **__: Any) -> requests.Response:
        sent.append(unquote_plus(str(request.body)))
        response = requests.Response()
        response.status_code, response._content = 200, b"ok"
        return response

    apprise_sender.prepare(service)
    monkeypatch.setattr(apprise_sender.BoundedSession, "send", answer)
    apprise_sender.send(message(text=f"{TEXT} <", title="<i>"), Receiver(service, url))
    [body] = sent
    assert shown in body
    assert ("<b>& 5" in body) is (shown == "<b>")


async def test_a_plug_ins_status_redirect_and_silence_are_told_apart(http: HttpReceiver) -> None:
    url = f"gotify://127.0.0.1:{http.port}/AbCdEf12345"
    path = "/message"
    for reply, outcome, problem in (
        (busy(90), DeliveryOutcome.FAILED, "HTTP 429"),
        (FAILURE, DeliveryOutcome.FAILED, "HTTP 500"),
        (Reply(401), DeliveryOutcome.REFUSED, "HTTP 401"),
        (redirect(f"{http.url}/other"), DeliveryOutcome.REFUSED, "HTTP 302, and redirects are not followed"),
        (HANG, DeliveryOutcome.FAILED, "no answer within 1 s"),
        (CLOSE, DeliveryOutcome.FAILED, "no connection"),
    ):
        http.reply(path, reply)
        answer = await deliver(url, "gotify", deadline_s=1 if reply is HANG else 20)
        assert (answer.outcome, answer.problem) == (outcome, problem), reply
        assert answer.retry_after_s == (90 if reply.status == 429 else None)
    assert http.accepted("/other") == []


async def test_nothing_of_where_it_is_delivered_to_is_logged(
    http: HttpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    http.reply("/message", OK, FAILURE)
    for url, service in (
        (f"{http.url}/{SECRET}", "webhook"),
        (f"gotify://127.0.0.1:{http.port}/{SECRET}", "gotify"),
        (f"gotify://127.0.0.1:{http.port}/{SECRET}", "gotify"),
        (f"gotify://127.0.0.1:1/{SECRET}", "gotify"),
        (f"http://127.0.0.1:1/{SECRET}", "webhook"),
        (f"mailto://u:{SECRET}@127.0.0.1:1/a@x.go.id", "mailto"),
        (f"tgram://{SECRET}/5", "tgram"),
    ):
        answer = await deliver(url, service)
        assert SECRET not in repr(answer)
    assert SECRET not in caplog.text


def test_an_sms_has_the_beginning_of_the_key_where_there_is_room() -> None:
    brief = message(text="Putus: Loa Duri Ilir", is_short=True)
    assert apprise_sender.text_with_key(brief) == "Putus: Loa Duri Ilir #6d1f1c60"
    full = message(text="x" * 155, is_short=True)
    assert apprise_sender.text_with_key(full) == "x" * 155


EXAMPLES = {
    "BOT_TOKEN": "123456789:abcdefghijklmnopqrstuvwxyz012345678",
    "CHAT_ID": "-100200300",
    "ACCOUNT_SID": "AC" + "a" * 32,
    "FROM_PHONE": "6281100000001",
    "PHONE_ID": "1002003004005",
    "RECIPIENT": "6281100000002",
    "SENDER": "sinyal@kaltimprov.go.id",
    "SERVER": "server.example",
    "HOST": "server.example",
    "DOMAIN": "server.example",
    "GATEWAY_ID": "*SINYAL1",
    "TOKEN_A": "T12345678",
    "TOKEN_B": "B12345678",
    "TOKEN_C": "a" * 24,
    "USER_KEY": "u" * 30,
    "WORKFLOW": "a" * 32,
    "SIGNATURE": "s" * 43,
    "ORGANIZATION": "kaltim",
    "API_KEY": "a" * 25,
    "SECRET": "b" * 16,
    "SOURCE": "6281100000001",
}


@pytest.mark.parametrize("schema", [name for name, service in SERVICES.items() if service.module != OWN])
def test_the_form_that_each_service_shows_is_one_that_its_plug_in_takes(schema: str) -> None:
    service, url = SERVICES[schema], SERVICES[schema].form
    for name in sorted(EXAMPLES, key=len, reverse=True):
        url = url.replace(name, EXAMPLES[name])
    url = url.replace("TOKEN", "a" * 32) if schema == "zulip" else url
    apprise_sender.prepare(schema)
    plugin = apprise_sender._plugin(schema)
    assert apprise_sender.open_notifier(Receiver(schema, url)) is not None, url
    assert {option for option in service.options if option != ":"} <= set(plugin.template_args)
