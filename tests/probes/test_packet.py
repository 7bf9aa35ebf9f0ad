import struct
from socket import AF_INET, AF_INET6, SOCK_DGRAM, SOCK_RAW

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.packet import FOREIGN, MALFORMED, RECEIVED_BYTES, EchoFormat, ones_complement

TOKENS = st.integers(0, 0xFFFFFFFF)
SOCKETS = [(AF_INET, SOCK_RAW), (AF_INET, SOCK_DGRAM), (AF_INET6, SOCK_RAW), (AF_INET6, SOCK_DGRAM)]


def build(echo: EchoFormat, token: int) -> bytes:
    packet: bytes = echo.build(np.array([token], np.uint32))[0].tobytes()
    return packet


def parse(echo: EchoFormat, *packets: bytes) -> list[int]:
    """Through a buffer in which others lay before, as the engine's does."""
    rows = b"".join(packet[:RECEIVED_BYTES].ljust(RECEIVED_BYTES, b"\xa5") for packet in packets)
    data = np.frombuffer(bytearray(rows), np.uint8).reshape(-1, RECEIVED_BYTES)
    tokens: list[int] = echo.parse(data, np.array([len(packet) for packet in packets], np.uint32)).tolist()
    return tokens


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
    assert parse(echo, reply_to(build(echo, token), family, kind)) == [token]


@pytest.mark.parametrize(("family", "kind"), SOCKETS)
@given(data=st.binary(max_size=200))
def test_no_bytes_at_all_upset_the_parser(family: int, kind: int, data: bytes) -> None:
    assert parse(EchoFormat(family, kind), data)[0] in (FOREIGN, MALFORMED)


@given(token=TOKENS, identifier=st.integers(0, 0xFFFF), nonce=st.binary(min_size=8, max_size=8))
def test_a_request_has_the_internet_checksum(token: int, identifier: int, nonce: bytes) -> None:
    request = build(EchoFormat(AF_INET, SOCK_RAW, identifier=identifier, nonce=nonce), token)
    assert len(request) == 64
    assert checksum_by_hand(request) == 0xFFFF


@given(token=TOKENS, place=st.integers(20, 83), change=st.integers(1, 255))
def test_a_reply_damaged_anywhere_is_never_taken_for_an_answer(token: int, place: int, change: int) -> None:
    echo = EchoFormat(AF_INET, SOCK_RAW)
    damaged = bytearray(reply_to(build(echo, token), AF_INET, SOCK_RAW))
    damaged[place] ^= change
    assert parse(echo, bytes(damaged))[0] in (FOREIGN, MALFORMED)


@given(length=st.integers(0, 83))
def test_a_truncated_reply_is_no_answer(length: int) -> None:
    echo = EchoFormat(AF_INET, SOCK_RAW)
    whole = reply_to(build(echo, 7), AF_INET, SOCK_RAW)
    assert parse(echo, whole[:length])[0] in (FOREIGN, MALFORMED)


def test_ip_options_before_the_reply_are_stepped_over() -> None:
    echo = EchoFormat(AF_INET, SOCK_RAW)
    plain = reply_to(build(echo, 7), AF_INET, SOCK_RAW)
    assert parse(echo, plain, b"\x46" + plain[1:20] + bytes(4) + plain[20:], plain) == [7, 7, 7]


def test_a_reply_to_another_pinger_is_foreign() -> None:
    ours, theirs = EchoFormat(AF_INET, SOCK_RAW), EchoFormat(AF_INET, SOCK_RAW)
    assert parse(ours, reply_to(build(theirs, 7), AF_INET, SOCK_RAW)) == [FOREIGN]


def test_the_same_identifier_does_not_make_a_reply_ours() -> None:
    ours = EchoFormat(AF_INET, SOCK_RAW, identifier=9)
    theirs = EchoFormat(AF_INET, SOCK_RAW, identifier=9)
    assert parse(ours, reply_to(build(theirs, 7), AF_INET, SOCK_RAW)) == [FOREIGN]


@pytest.mark.parametrize(("family", "kind"), SOCKETS)
@given(tokens=st.lists(TOKENS, min_size=1, max_size=9), noise=st.lists(st.binary(max_size=200), max_size=9))
def test_each_packet_of_a_batch_is_judged_by_itself(
    family: int, kind: int, tokens: list[int], noise: list[bytes]
) -> None:
    echo = EchoFormat(family, kind)
    requests = [row.tobytes() for row in echo.build(np.array(tokens, np.uint32))]
    replies = [reply_to(request, family, kind) for request in requests]
    alone = [parse(echo, packet)[0] for packet in (*noise, *replies)]
    assert parse(echo, *noise, *replies) == alone
    assert alone[len(noise) :] == tokens
