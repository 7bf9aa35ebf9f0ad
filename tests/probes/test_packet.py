import struct
from socket import AF_INET, AF_INET6, SOCK_DGRAM, SOCK_RAW

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.packet import FOREIGN, MALFORMED, EchoFormat, ones_complement

TOKENS = st.integers(0, 0xFFFFFFFF)
SOCKETS = [(AF_INET, SOCK_RAW), (AF_INET, SOCK_DGRAM), (AF_INET6, SOCK_RAW), (AF_INET6, SOCK_DGRAM)]


def reply_to(request: bytes, family: int, kind: int) -> bytes:
    """What the far end's kernel would send, and ours would hand up."""
    if family == AF_INET6:
        return bytes([129]) + request[1:]
    empty = b"\0\0\0\0" + request[4:]
    reply = b"\0\0" + struct.pack("!H", 0xFFFF - ones_complement(empty)) + request[4:]
    return (b"\x45" + bytes(19) + reply) if kind == SOCK_RAW else reply


def checksum_by_hand(data: bytes) -> int:
    total = sum(high << 8 | low for high, low in zip(data[::2], data[1::2], strict=True))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@pytest.mark.parametrize(("family", "kind"), SOCKETS)
@given(token=TOKENS)
def test_a_token_comes_back_from_the_reply_to_its_request(family: int, kind: int, token: int) -> None:
    echo = EchoFormat(family, kind)
    assert echo.parse(reply_to(bytes(echo.build(token)), family, kind)) == token


@pytest.mark.parametrize(("family", "kind"), SOCKETS)
@given(data=st.binary(max_size=200))
def test_no_bytes_at_all_upset_the_parser(family: int, kind: int, data: bytes) -> None:
    assert EchoFormat(family, kind).parse(data) in (FOREIGN, MALFORMED)


@given(token=TOKENS, identifier=st.integers(0, 0xFFFF), nonce=st.binary(min_size=8, max_size=8))
def test_a_request_has_the_internet_checksum(token: int, identifier: int, nonce: bytes) -> None:
    request = EchoFormat(AF_INET, SOCK_RAW, identifier=identifier, nonce=nonce).build(token)
    assert len(request) == 64
    assert checksum_by_hand(bytes(request)) == 0xFFFF


@given(token=TOKENS, place=st.integers(20, 83), change=st.integers(1, 255))
def test_a_reply_damaged_anywhere_is_never_taken_for_an_answer(token: int, place: int, change: int) -> None:
    echo = EchoFormat(AF_INET, SOCK_RAW)
    damaged = bytearray(reply_to(bytes(echo.build(token)), AF_INET, SOCK_RAW))
    damaged[place] ^= change
    assert echo.parse(bytes(damaged)) in (FOREIGN, MALFORMED)


@given(length=st.integers(0, 83))
def test_a_truncated_reply_is_no_answer(length: int) -> None:
    echo = EchoFormat(AF_INET, SOCK_RAW)
    whole = reply_to(bytes(echo.build(7)), AF_INET, SOCK_RAW)
    assert echo.parse(whole[:length]) in (FOREIGN, MALFORMED)


def test_ip_options_before_the_reply_are_stepped_over() -> None:
    echo = EchoFormat(AF_INET, SOCK_RAW)
    plain = reply_to(bytes(echo.build(7)), AF_INET, SOCK_RAW)
    assert echo.parse(b"\x46" + plain[1:20] + bytes(4) + plain[20:]) == 7


def test_a_reply_to_another_pinger_is_foreign() -> None:
    ours, theirs = EchoFormat(AF_INET, SOCK_RAW), EchoFormat(AF_INET, SOCK_RAW)
    assert ours.parse(reply_to(bytes(theirs.build(7)), AF_INET, SOCK_RAW)) == FOREIGN


def test_the_same_identifier_does_not_make_a_reply_ours() -> None:
    ours = EchoFormat(AF_INET, SOCK_RAW, identifier=9)
    theirs = EchoFormat(AF_INET, SOCK_RAW, identifier=9)
    assert ours.parse(reply_to(bytes(theirs.build(7)), AF_INET, SOCK_RAW)) == FOREIGN
