"""Builds and parses ICMP echo packets.

Layout, 64 bytes as ping and fping send: type, code, checksum, identifier, sequence, then the payload: a
32-bit token (names one packet in flight), a 64-bit nonce (names this prober), padding.
"""

import secrets
import struct
from socket import AF_INET, AF_INET6, SOCK_RAW

LENGTH = 64
FOREIGN = -1  # well formed, but no answer to a packet of ours
MALFORMED = -2

REQUEST: dict[int, int] = {AF_INET: 8, AF_INET6: 128}
REPLY: dict[int, int] = {AF_INET: 0, AF_INET6: 129}

_WHOLE = struct.Struct("!BBHHHI8s")
_VARYING = struct.Struct("!HHHI")  # checksum, identifier, sequence, token: at offset 2
_PADDING = bytes(range(_WHOLE.size, LENGTH))  # not zeros: a truncated packet must not add up to the same sum


def ones_complement(data: bytes) -> int:
    """Return the internet checksum's sum of 16-bit words: one division adds them, as 65,536 is 1 modulo 65,535."""
    return int.from_bytes(data + b"\0" * (len(data) & 1), "big") % 0xFFFF


class EchoFormat:
    """How one socket's echo requests are written and its replies recognised."""

    def __init__(self, family: int, kind: int, *, identifier: int | None = None, nonce: bytes | None = None):
        self.identifier = secrets.randbelow(0xFFFF) + 1 if identifier is None else identifier
        self.nonce = secrets.token_bytes(8) if nonce is None else nonce
        self._reply = REPLY[family]
        self._ip_header = family == AF_INET and kind == SOCK_RAW
        self._own_identifier = kind == SOCK_RAW  # a datagram socket's is the kernel's choice, and its filter
        self._own_checksum = family == AF_INET
        start = _WHOLE.pack(REQUEST[family], 0, 0, self.identifier, 0, 0, self.nonce)
        self._packet = bytearray(start + _PADDING)
        self._sum = ones_complement(bytes(self._packet))

    def build(self, token: int) -> bytearray:
        """Return the request that carries `token`, in a buffer that the next call overwrites.

        The sequence is the token's lower half. ICMPv6 checksums are filled in by the kernel.
        """
        low = token & 0xFFFF
        checksum = -(self._sum + (token >> 16) + low + low) % 0xFFFF
        _VARYING.pack_into(self._packet, 2, checksum, self.identifier, low, token)
        return self._packet

    def parse(self, data: bytes) -> int:
        """Return the token of a reply to us, else FOREIGN or MALFORMED; never raises, whatever the bytes."""
        start = (data[0] & 0x0F) * 4 if self._ip_header and data else 0
        if len(data) < start + 8 or (self._ip_header and (start < 20 or data[0] >> 4 != 4)):
            return MALFORMED
        if data[start] != self._reply or data[start + 1]:
            return MALFORMED
        if len(data) < start + _WHOLE.size:
            return FOREIGN  # other pingers send shorter ones
        _, _, _, identifier, low, token, nonce = _WHOLE.unpack_from(data, start)
        if nonce != self.nonce or (self._own_identifier and identifier != self.identifier):
            return FOREIGN
        if low != token & 0xFFFF or (self._own_checksum and ones_complement(data[start:])):
            return MALFORMED
        return int(token)
