import socket
import time
from collections.abc import Callable
from ipaddress import IPv4Address, ip_address, ip_network
from threading import Event

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.own_addresses import OwnAddresses, interface_addresses
from probes.policy import DENIED_BY_DEFAULT, Address, AddressPolicy, Forbidden, is_hostname, parse_address

DENIED = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 169.254.169.254
172.16.0.1 172.31.255.255 192.0.0.1 192.168.1.1 198.18.0.1 198.19.255.255 224.0.0.1 239.1.1.1 240.0.0.1
255.255.255.255 168.63.129.16 192.88.99.1
:: ::1 100::1 2001:2::1 2001:10::1 2001:2f::1 5f00::1 fec0::1 feff::1 fc00::1 fdff::1 fe80::1 febf::1 ff02::1
::ffff:10.0.0.1 ::ffff:7f00:1 ::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::a9fe:a9fe 2002:7f00:1:: 2002:c0a8:101::1
64:ff9b:1::127.0.0.1 64:ff9b:1:7f00:0:100:: 64:ff9b:1:a:0:1:: 64:ff9b:1:0:a:0:100:0
::ffff:0:10.0.0.1 ::ffff:0:7f00:1 2606:4700::5efe:10.0.0.1 2606:4700::200:5efe:127.0.0.1
2001:0:7f00:1:0:ffff:3fff:fdd2 2001:0:c000:201:0:ffff:80ff:fffe
"""
ALLOWED = """
1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1 172.15.255.255 172.32.0.0
192.0.1.1 192.0.2.1 192.169.0.1 198.17.255.255 198.20.0.0 198.51.100.1 203.0.113.1 223.255.255.255
2001:db8::1 2606:4700::1111 fbff::1 fe00::1 2001:db8::5efe:8.8.8.8 3fff::1 ::ffff:0:8.8.8.8
::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1 64:ff9b:1::8.8.8.8
64:ff9b:1:808:8:800:: 2001:0:c000:201:0:ffff:f7f7:f7f7
"""
DISGUISED = """
127.1 0x7f.1 0x7f.0.0.1 0x7f000001 2130706433 0177.0.0.1 017700000001 127.0.0.01 1.2.3 1.2.3.4.5 256.1.1.1
1.2.3.4. 127.0.0.0x1 fe80::1%eth0 ::1%lo 1::2::3 12345::
"""
NOT_NAMES = ["", ".", "a..b", "-a.id", "a-.id", "a_b.id", "a b", "desa.id/x", "user@desa.id", "desa.id:80", "dé.id"]


@pytest.mark.parametrize("address", DENIED.split())
def test_denied_by_default(address: str) -> None:
    with pytest.raises(Forbidden, match="may not go"):
        AddressPolicy().check(address)


@pytest.mark.parametrize("address", ALLOWED.split())
def test_allowed_by_default(address: str) -> None:
    AddressPolicy().check(address)


@given(st.ip_addresses(v=4))
def test_every_form_that_carries_an_ipv4_is_judged_as_that_ipv4(inside: IPv4Address) -> None:
    def verdict(address: str) -> bool:
        try:
            AddressPolicy().check(address)
        except Forbidden:
            return False
        return True

    bits = int(inside)
    forms = [f"::ffff:{inside}", f"::ffff:0:{inside}", f"64:ff9b::{inside}", f"2002:{bits >> 16:x}:{bits & 0xFFFF:x}::"]
    assert {verdict(form) for form in forms} == {verdict(str(inside))}


def test_allow_wins_over_deny() -> None:
    policy = AddressPolicy(allow=["127.0.0.0/8"])
    policy.check("127.0.0.1")
    policy.check("::ffff:127.0.0.1")
    with pytest.raises(Forbidden):
        policy.check("10.0.0.1")


def test_an_own_deny_list_replaces_the_default_and_holds_for_wrappings_too() -> None:
    policy = AddressPolicy(deny=["64:ff9b::/96", "203.0.113.0/24"])
    policy.check("10.0.0.1")
    for address in ("64:ff9b::8.8.8.8", "203.0.113.7", "::ffff:203.0.113.7"):
        with pytest.raises(Forbidden):
            policy.check(address)


def test_this_machine_is_not_probed_by_its_interfaces_or_its_public_name() -> None:
    looked_up = Event()

    def look_up(host: str) -> set[Address]:
        looked_up.set()
        return {ip_address("203.0.113.9")}

    own = OwnAddresses("sinyal.example", interfaces=lambda: {ip_address("198.51.100.7")}, lookup=look_up)
    policy, allowing = AddressPolicy(own=own), AddressPolicy(allow=["198.51.100.0/24"], own=own)
    with pytest.raises(Forbidden, match="own address"):
        policy.check("198.51.100.7")
    with pytest.raises(Forbidden, match="own address"):
        policy.check("64:ff9b::198.51.100.7")
    assert looked_up.wait(10)
    until(lambda: ip_address("203.0.113.9") in own)
    with pytest.raises(Forbidden):
        policy.check("203.0.113.9")
    policy.check("203.0.113.8")
    allowing.check("198.51.100.7")
    assert policy.denial(ip_address("198.51.100.7")) == (ip_address("198.51.100.7"), ip_network("198.51.100.7/32"))


def until(holds: Callable[[], bool]) -> None:
    for _ in range(500):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it never held")


def test_the_interfaces_of_this_machine_are_known() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.bind(("127.0.0.1", 0))
        assert ip_address(connection.getsockname()[0]) in interface_addresses()


@pytest.mark.parametrize("text", DISGUISED.split())
def test_other_spellings_are_neither_addresses_nor_names(text: str) -> None:
    assert parse_address(text) is None
    assert not is_hostname(text)
    with pytest.raises(Forbidden, match="neither"):
        AddressPolicy().check_host(text)
    with pytest.raises(Forbidden, match="not an IP address"):
        AddressPolicy().check(text)


@pytest.mark.parametrize("text", [*NOT_NAMES, "a" * 64 + ".id", "a." * 127 + "id", "desa.id\n"])
def test_what_is_no_hostname(text: str) -> None:
    assert not is_hostname(text)


@pytest.mark.parametrize("text", ["localhost", "desa.id", "Kantor-Desa.KUKAR.go.id", "desa.id.", "1und1.de", "3.desa"])
def test_what_is_a_hostname(text: str) -> None:
    assert is_hostname(text)
    AddressPolicy().check_host(text)


@given(st.text(max_size=300))
def test_any_text_gets_a_verdict(text: str) -> None:
    try:
        AddressPolicy().check_host(text)
    except Forbidden:
        return
    assert parse_address(text) is not None or is_hostname(text)


NETWORKS = [ip_network(text) for text in (*DENIED_BY_DEFAULT, "10.20.0.0/16") if ":" not in text]
EDGES = [number for network in NETWORKS for number in (int(network[0]) - 1, int(network[0]), int(network[-1]))]


@given(st.lists(st.ip_addresses(v=4).map(int) | st.sampled_from(EDGES), max_size=20))
def test_many_addresses_at_once_get_the_verdict_that_each_gets(addresses: list[int]) -> None:
    own = OwnAddresses(interfaces=lambda: {ip_address("198.51.100.7"), ip_address("100.64.0.9"), ip_address("::1")})
    policy = AddressPolicy(allow=["10.20.0.0/16", "100.64.0.0/10", "2001:db8::/32"], own=own)
    numbers = [
        number % 2**32 for number in [*addresses, int(ip_address("198.51.100.7")), int(ip_address("100.64.0.9"))]
    ]

    def passes(number: int) -> bool:
        try:
            policy.check(IPv4Address(number))
        except Forbidden:
            return False
        return True

    assert policy.permits(np.array(numbers, np.uint32)).tolist() == [passes(number) for number in numbers]
