"""Decompresses a body, up to a size limit."""

from __future__ import annotations

import zlib

from airflow_provider_tallyfy.client.transport import MAX_RESPONSE_BYTES


class Undecodable(Exception):
    """The body can't be decompressed, or would be too large."""


def decoded(body: bytes, coding: str) -> bytes:
    """Return the decompressed body.

    :param coding: its ``Content-Encoding``.
    :raises Undecodable: for an unsupported coding, and a body that is invalid, incomplete or too large.
    """
    coding = coding.strip().lower()
    if coding in {"", "identity"} or not body:
        return body
    if coding not in {"gzip", "x-gzip", "deflate"}:
        raise Undecodable(f"it has the Content-Encoding {coding[:40]!r}, which was not requested")
    # Some servers send "deflate" without the zlib header that RFC 9110 demands.
    windows = (zlib.MAX_WBITS | 16,) if "gzip" in coding else (zlib.MAX_WBITS, -zlib.MAX_WBITS)
    for bits in windows:
        try:
            return _inflated(body, bits)
        except zlib.error:
            continue
    raise Undecodable(f"it is not valid {coding}, although its Content-Encoding says so")


def _inflated(body: bytes, bits: int) -> bytes:
    parts, left = list[bytes](), MAX_RESPONSE_BYTES
    while body:  # a gzip body may consist of several members
        member = zlib.decompressobj(bits)
        parts.append(member.decompress(body, left + 1))
        left -= len(parts[-1])
        if left < 0:
            raise Undecodable(f"the answer is larger than {MAX_RESPONSE_BYTES // 1024 // 1024} MiB")
        if not member.eof:
            raise Undecodable("its compressed body is incomplete")
        body = member.unused_data
        if not body.startswith(b"\x1f\x8b"):
            break
    return b"".join(parts)
