import socket
import sys
from ipaddress import ip_address
from socket import AF_INET, AF_INET6

from hypothesis import given
from hypothesis import strategies as st

from probes.sockaddr import NO_ADDRESS, SOCKADDR_LENGTH, address_text, prepare_addresses


@given(st.lists(st.ip_addresses(), max_size=20))
def test_an_address_is_spelled_as_the_kernel_does_whatever_stands_beside_it(addresses: list[object]) -> None:
    prepared = prepare_addresses(map(str, addresses))
    assert [ip_address(address_text(to)) for to in prepared] == addresses


def test_the_kernel_reads_the_bytes_as_its_own() -> None:
    four, six = prepare_addresses(["127.0.0.1", "::1"])
    assert four.tobytes()[: SOCKADDR_LENGTH[AF_INET]] == _kernels("127.0.0.1", AF_INET)
    assert six.tobytes()[: SOCKADDR_LENGTH[AF_INET6]] == _kernels("::1", AF_INET6)


@given(st.text(max_size=50).filter(lambda text: not text.replace(".", "").isdigit() and ":" not in text))
def test_other_text_is_no_address(text: str) -> None:
    assert prepare_addresses([text, "127.1", "1.2.3.4\0", "::1%lo"])["family"].tolist() == [NO_ADDRESS] * 4


def _kernels(address: str, family: int) -> bytes:
    """What `struct sockaddr_in` and `sockaddr_in6` look like: family, port, then the address."""
    before = family.to_bytes(2, sys.byteorder) + bytes(2 if family == AF_INET else 6)
    return (before + socket.inet_pton(family, address)).ljust(SOCKADDR_LENGTH[family], b"\0")
