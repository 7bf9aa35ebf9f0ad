from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.alerts.services import SERVICES
from app.alerts.targets import parse_target
from app.core.errors import Fault, Invalid
from app.settings import AlertsSettings, Settings
from probes.policy import AddressPolicy

POLICY = Settings().receiver_policy
SECRET = "s3cret-t0ken-of-a-channel"
MALFORMED = [
    "",
    "https://a b/",
    "gotify://host\n/x",
    *[
        "hooks.example",
        "https://",
        "https:///x",
        "https://u:p@hooks.example/",
        "https://x/#a",
        "://x",
        "https://hooks.example:0x1/",
        "tgram://",
        "tgram://123:abc",
        "mailtos://mail.example",
        "mailto://:25/a@b.go.id",
        "mailto://mail.example:99999/a@b.go.id",
        "ntfy://jaga",
        "whatsapp://1/2",
        "twilio://sid@628/628",
    ],
]
FORBIDDEN_OPTIONS = [
    "attach=/etc/passwd",
    "template=/etc/passwd",
    "verify=no",
    "cto=9999",
    "rto=9999",
    "redirect=yes",
    "retry=9",
    "store=yes",
    "pgp=sign",
    "pgpprv=/etc/ssl/private/key",
    "format=html",
    "%76erify=no",
    "VERIFY=no",
    "+X-Key=1",
]
DENIED_HOSTS = [
    "127.0.0.1",
    "169.254.169.254",
    "10.1.2.3",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "0x7f.1",
    "127.1",
    "2130706433",
    "localhost",
    "x.localhost",
    "[fe80::1]",
    "017700000001",
    "%31%32%37.0.0.1",
    "a_b.example",
]


def fault_of(url: str, policy: AddressPolicy = POLICY) -> Fault:
    with pytest.raises(Invalid) as refused:
        parse_target(url, policy)
    [fault] = refused.value.faults
    return fault


@pytest.mark.parametrize(
    ("url", "service", "hint"),
    [
        (f"https://hooks.kukarkab.go.id:8443/{SECRET}?k={SECRET}", "webhook", "https://hooks.kukarkab.go.id:8443/…"),
        (f"mailtos://jaga:{SECRET}@mail.kukarkab.go.id/a@kukarkab.go.id", "mailtos", "mailtos://mail.kukarkab.go.id/…"),
        (f"tgram://123456789:{SECRET}/-100200300/?topic=7", "tgram", "tgram://…"),
        (f"whatsapp://{SECRET}@100200300/628110000001?template=gangguan&:1=body", "whatsapp", "whatsapp://…"),
        (f"ntfys://u:{SECRET}@ntfy.kaltimprov.go.id:8443/jaga", "ntfys", "ntfys://ntfy.kaltimprov.go.id/…"),
        (f"MATRIXS://u:{SECRET}@matrix.example/!ruang", "matrixs", "matrixs://matrix.example/…"),
        (f"brevo://{SECRET}:sinyal@example.go.id/a@example.go.id", "brevo", "brevo://…"),
    ],
)
def test_a_target_is_told_by_a_hint_that_holds_no_secret(url: str, service: str, hint: str) -> None:
    target = parse_target(url, POLICY)
    assert (target.service, target.hint, SECRET in target.url) == (service, hint, True)


@pytest.mark.parametrize("url", MALFORMED)
def test_a_malformed_url_is_refused_with_the_form_that_it_should_have(url: str) -> None:
    fault = fault_of(url)
    assert (fault.code, "://" in fault.values["example"]) == ("bad_url", True)


@pytest.mark.parametrize(
    "schema", ["json", "xml", "form", "dbus", "syslog", "file", "apprise", "vapid", "gopher", "ftp"]
)
def test_a_service_that_is_not_listed_is_refused_with_the_list(schema: str) -> None:
    fault = fault_of(f"{schema}://169.254.169.254/latest")
    assert (fault.code, fault.values["given"]) == ("unknown_service", schema)
    assert {"mailtos", "tgram", "whatsapp", "matrixs", "ntfys"} <= set(fault.values["services"].split(", "))


@pytest.mark.parametrize("option", FORBIDDEN_OPTIONS)
def test_options_that_reach_files_or_weaken_a_delivery_are_refused(option: str) -> None:
    for url in ("mailtos://u:p@mail.example/a@b.go.id", "tgram://123:abc/5", "ntfys://ntfy.example/jaga"):
        assert fault_of(f"{url}?{option}").code == "forbidden_option"
        assert fault_of(f"{url}?to=a@b.go.id&{option}").code == "forbidden_option"


@pytest.mark.parametrize("host", DENIED_HOSTS)
def test_a_literal_address_that_the_policy_denies_is_refused_in_every_spelling(host: str) -> None:
    for url in ("https://{}/x", "ntfy://u:p@{}/jaga", "mailto://mail.example/a@b.go.id?smtp={}"):
        assert fault_of(url.format(host)).code == "forbidden_address", url


def test_a_network_that_is_allowed_may_be_delivered_to() -> None:
    policy = Settings(alerts=AlertsSettings(allow=["10.20.0.25/32"])).receiver_policy
    assert parse_target("mailto://10.20.0.25/a@b.go.id", policy).hint == "mailto://10.20.0.25/…"
    assert fault_of("mailto://10.20.0.26/a@b.go.id", policy).code == "forbidden_address"


@given(st.one_of(st.text(), st.builds("{}://{}".format, st.sampled_from([*SERVICES, "https", "json"]), st.text())))
def test_any_text_is_a_target_or_one_fault(url: str) -> None:
    faults: Sequence[Fault] = ()
    target = None
    try:
        target = parse_target(url, POLICY)
    except Invalid as refused:
        faults = refused.faults
    assert (target is None) == (len(faults) == 1)
    assert target is None or (target.service in {"webhook", *SERVICES} and target.hint.endswith("…"))


def test_the_form_of_each_service_is_one_that_is_accepted() -> None:
    for schema, service in SERVICES.items():
        assert parse_target(service.form.replace("SERVER", "server.example"), POLICY).service == schema
