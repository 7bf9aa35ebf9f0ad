"""Builds and parses ICMP echo packets, a batch at a time: one row a packet.

Layout, 64 bytes as ping and fping send: type, code, checksum, identifier, sequence, then the payload: a
32-bit token (names one packet in flight), a 64-bit nonce (names this prober), padding.
"""

import secrets
import struct
from socket import AF_INET, AF_INET6, SOCK_RAW

import numpy as np
from numpy.typing import NDArray

LENGTH = 64
BATCH = 512  # packets built at a time
RECEIVED_BYTES = 256  # of each packet: all that is looked at
FOREIGN = -1  # well formed, but no answer to a packet of ours
MALFORMED = -2

REQUEST: dict[int, int] = {AF_INET: 8, AF_INET6: 128}
REPLY: dict[int, int] = {AF_INET: 0, AF_INET6: 129}

_IP_HEADER = 20  # without options
_SHORTEST = 8  # the ICMP header
_WHOLE = struct.Struct("!BBHHHI8s")
_PADDING = bytes(range(_WHOLE.size, LENGTH))  # not zeros: a truncated packet must not add up to the same sum


def ones_complement(data: bytes) -> int:
    """Return the internet checksum's sum of 16-bit words: one division adds them, as 65,536 is 1 modulo 65,535."""
    return int.from_bytes(data + b"\0" * (len(data) & 1), "big") % 0xFFFF


class EchoFormat:
    """How one socket's echo requests are written and its replies recognised."""

    def __init__(self, family: int, kind: int, *, identifier: int | None = None, nonce: bytes | None = None):
        self.identifier = secrets.randbelow(0xFFFF) + 1 if identifier is None else identifier
        self.nonce = secrets.token_bytes(8) if nonce is None else nonce
        self._start = _IP_HEADER if family == AF_INET and kind == SOCK_RAW else 0  # where ICMP begins
        self._own_identifier = kind == SOCK_RAW  # a datagram socket's is the kernel's choice, and its filter
        self._own_checksum = family == AF_INET  # ICMPv6 ones are the kernel's
        start = _WHOLE.pack(REQUEST[family], 0, 0, self.identifier, 0, 0, self.nonce)
        self._sum = ones_complement(start + _PADDING)
        self._type_and_code = np.frombuffer(bytes([REPLY[family], 0]), np.uint16)[0]
        self._nonce = np.frombuffer(self.nonce, np.uint32)
        self.packets = np.empty((BATCH, LENGTH), np.uint8)
        self.packets[:] = np.frombuffer(start + _PADDING, np.uint8)
        self._halves = self.packets.view(">u2")
        self._tokens = self.packets.view(">u4")[:, 2]

    def build(self, tokens: NDArray[np.uint32]) -> NDArray[np.uint8]:
        """Return the requests that carry these tokens, at most BATCH, in a buffer that the next call overwrites.

        The sequence is the token's lower half. ICMPv6 checksums are filled in by the kernel.
        """
        count = len(tokens)
        low = (tokens & 0xFFFF).astype(np.int64)
        self._halves[:count, 1] = -(self._sum + (tokens >> 16) + low + low) % 0xFFFF
        self._halves[:count, 3] = low
        self._tokens[:count] = tokens
        return self.packets[:count]

    def parse(self, data: NDArray[np.uint8], lengths: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Return the token of each reply to us, else FOREIGN or MALFORMED, whatever the bytes.

        `data` is (n, RECEIVED_BYTES); IP options are moved out of the way in place.
        """
        if self._start:
            lengths = _without_ip_options(data, lengths)
        start = self._start
        halves, words = data.view(np.uint16), data.view(np.uint32)
        big_halves, half, word = data.view(">u2"), start // 2, start // 4
        tokens: NDArray[np.int64] = data.view(">u4")[:, word + 2].astype(np.int64)
        is_reply = (halves[:, half] == self._type_and_code) & (lengths >= start + _SHORTEST)
        ours = (words[:, word + 3] == self._nonce[0]) & (words[:, word + 4] == self._nonce[1])
        ours &= lengths >= start + _WHOLE.size  # other pingers send shorter ones
        if self._own_identifier:
            ours &= big_halves[:, half + 2] == self.identifier
        whole = big_halves[:, half + 3] == (tokens & 0xFFFF)
        if self._own_checksum:
            whole &= np.equal(_checksums(data, lengths, start), 0)
        tokens[~whole] = MALFORMED
        tokens[~ours] = FOREIGN
        tokens[~is_reply] = MALFORMED
        return tokens


def _checksums(data: NDArray[np.uint8], lengths: NDArray[np.uint32], start: int) -> NDArray[np.uint32]:
    """Return the ones' complement sum of each packet from `start` on, 0 if its checksum is right."""
    sums: NDArray[np.uint32] = data[:, start : start + LENGTH].view(np.uint16).sum(axis=1, dtype=np.uint32) % 0xFFFF
    for row in (lengths != start + LENGTH).nonzero()[0]:
        sums[row] = ones_complement(data[row, start : lengths[row]].tobytes())
    return sums


def _without_ip_options(data: NDArray[np.uint8], lengths: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Move each packet's ICMP part to where it lies without IP options; return the lengths, 0 for what is no IPv4."""
    with_options = (data[:, 0] != 0x45).nonzero()[0]
    if not len(with_options):
        return lengths
    lengths = lengths.copy()
    for row in with_options:
        header = int(data[row, 0] & 0x0F) * 4
        if data[row, 0] >> 4 != 4 or header < _IP_HEADER:
            lengths[row] = 0
        elif lengths[row] > header:
            data[row, _IP_HEADER : RECEIVED_BYTES - header + _IP_HEADER] = data[row, header:].copy()
            lengths[row] -= header - _IP_HEADER
        else:
            lengths[row] = 0
    return lengths
