"""Delivery by e-mail: plain text over SMTP, with the key in the Message-ID, so that a mailbox shows it once."""

import re
import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr
from urllib.parse import parse_qsl, unquote, urlsplit

from app.core.clock import utc_now
from app.courier.contract import LONGEST_ID, Answer, DeliveryOutcome, Message, Receiver

TIMEOUT_S = 10.0
PORTS = {"insecure": 25, "starttls": 587, "ssl": 465}
SENDER_NAME = "Sinyal Desa"
POLICY = SMTP.clone(cte_type="7bit")  # lines end with CRLF, as servers insist; not all take 8 bits
QUEUED_AS = re.compile(r"queued as ([\w.-]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What an Apprise URL says: mailtos://user:password@server:port/recipient?from=…&smtp=…&mode=ssl"""

    host: str
    port: int
    mode: str
    user: str | None
    password: str | None = field(repr=False)
    sender: str
    sender_name: str
    recipients: tuple[str, ...]
    copies: tuple[str, ...]
    reply_to: str | None

    @classmethod
    def parse(cls, url: str) -> "Mailbox":
        """Raises ValueError."""
        parts = urlsplit(url)
        options = {name.lower(): value for name, value in parse_qsl(parts.query)}
        mode = options.get("mode", "starttls" if parts.scheme == "mailtos" else "insecure").lower()
        domain, user = parts.hostname or "", unquote(parts.username) if parts.username else None
        recipients = _split(",".join([*unquote(parts.path).split("/"), options.get("to", "")]))
        return cls(
            host=options.get("smtp") or domain,
            port=parts.port or PORTS[mode],
            mode=mode,
            user=user,
            password=unquote(parts.password) if parts.password else None,
            sender=options.get("from") or (user if user and "@" in user else f"{user or 'sinyal'}@{domain}"),
            sender_name=options.get("name") or SENDER_NAME,
            recipients=tuple(dict.fromkeys(recipients)),
            copies=_split(options.get("cc", "")),
            reply_to=options.get("reply"),
        )


def _split(addresses: str) -> tuple[str, ...]:
    return tuple(address for address in re.split(r"[ ,;]+", addresses) if address)


def send(message: Message, receiver: Receiver) -> Answer:
    try:
        mailbox = Mailbox.parse(receiver.url)
        email = compose(message, mailbox)
    except (ValueError, KeyError):
        return Answer(DeliveryOutcome.REFUSED, "the channel's URL names no mailbox")
    try:
        with _connect(mailbox) as smtp:
            return _hand_over(smtp, mailbox, email)
    except smtplib.SMTPResponseException as error:
        return _answer_of_code(error.smtp_code)
    except smtplib.SMTPNotSupportedError:
        return Answer(DeliveryOutcome.REFUSED, "the mail server does not offer what the channel needs")
    except ssl.SSLError:
        return Answer(DeliveryOutcome.FAILED, "no TLS: the certificate is not trusted, or the mode is another")
    except TimeoutError:
        return Answer(DeliveryOutcome.FAILED, "no answer in time")
    except (smtplib.SMTPException, OSError):
        return Answer(DeliveryOutcome.FAILED, "no connection")


def compose(message: Message, mailbox: Mailbox) -> EmailMessage:
    """Return the e-mail. Raises ValueError for addresses that are none."""
    email = EmailMessage(POLICY)
    email["Subject"] = message.title
    email["From"] = formataddr((mailbox.sender_name, mailbox.sender))
    email["To"] = ", ".join(mailbox.recipients)
    if mailbox.copies:
        email["Cc"] = ", ".join(mailbox.copies)
    if mailbox.reply_to:
        email["Reply-To"] = mailbox.reply_to
    email["Date"] = format_datetime(utc_now())
    email["Message-ID"] = f"<{message.key}@{_domain(mailbox)}>"
    email["X-Sinyal-Key"] = str(message.key)
    email["Auto-Submitted"] = "auto-generated"
    email.set_content(message.text)
    return email


def _domain(mailbox: Mailbox) -> str:
    return mailbox.sender.rpartition("@")[2]


def _connect(mailbox: Mailbox) -> smtplib.SMTP:
    """Return a session that is encrypted and signed in as far as the channel says."""
    name, context = _domain(mailbox), ssl.create_default_context()
    smtp: smtplib.SMTP
    if mailbox.mode == "ssl":
        smtp = smtplib.SMTP_SSL(mailbox.host, mailbox.port, name, timeout=TIMEOUT_S, context=context)
    else:
        smtp = smtplib.SMTP(mailbox.host, mailbox.port, name, timeout=TIMEOUT_S)
    try:
        if mailbox.mode == "starttls":
            smtp.starttls(context=context)
        if mailbox.user and mailbox.password:
            smtp.login(mailbox.user, mailbox.password)
    except BaseException:
        smtp.close()
        raise
    return smtp


def _hand_over(smtp: smtplib.SMTP, mailbox: Mailbox, email: EmailMessage) -> Answer:
    """Offer it for all recipients. Where some are refused for good, the others get it, and the answer says so."""
    smtp.ehlo_or_helo_if_needed()
    code, _ = smtp.mail(mailbox.sender)
    if code != 250:
        return _answer_of_code(code)
    codes = [smtp.rcpt(address)[0] for address in (*mailbox.recipients, *mailbox.copies)]
    refused = [code for code in codes if code not in {250, 251}]
    if refused and (len(refused) == len(codes) or min(refused) < 500):
        return _answer_of_code(min(refused))
    code, answer = smtp.data(email.as_bytes())
    if code != 250:
        return _answer_of_code(code)
    some = f"{len(refused)} of {len(codes)} recipients refused (SMTP {max(refused)})" if refused else None
    return Answer(DeliveryOutcome.ACCEPTED, some, receiver_id=_receiver_id(answer.decode("utf-8", "replace")))


def _receiver_id(answer: str) -> str | None:
    found = QUEUED_AS.search(answer)
    line = found[1] if found else " ".join(answer.split())
    return line[:LONGEST_ID] if line.isprintable() and line else None


def _answer_of_code(code: int) -> Answer:
    return Answer(DeliveryOutcome.REFUSED if 500 <= code < 600 else DeliveryOutcome.FAILED, f"SMTP {code}")
