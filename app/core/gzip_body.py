"""Unpacks bodies of requests, within a limit of what they may come to."""

import zlib

from app.core.errors import Fault, Invalid, TooLarge

TOO_LARGE = "At most {limit} MB per request: split it into several"


def too_large(most_bytes: int) -> TooLarge:
    return TooLarge(TOO_LARGE, values={"limit": most_bytes // 1_000_000})


def unpack(body: bytes, encoding: str | None, *, most_bytes: int) -> bytes:
    """`encoding`: the header Content-Encoding. Raises Invalid, or TooLarge once it is more than `most_bytes`."""
    if encoding is None or encoding == "identity":
        return body
    if encoding.lower() != "gzip":
        raise Invalid(Fault("Content-Encoding", "unknown_encoding", "Compress the body with gzip or not at all"))
    decompressor = zlib.decompressobj(31)  # 31: gzip format
    try:
        unpacked = decompressor.decompress(body, most_bytes + 1)
    except zlib.error:
        unpacked = b""
    if len(unpacked) > most_bytes:
        raise too_large(most_bytes)
    if not decompressor.eof or decompressor.unused_data:
        raise Invalid(Fault("body", "bad_gzip", "The body is not a complete gzip stream"))
    return unpacked
