"""CBOR as the AWS SDKs for Java write it to Kinesis: just enough to be such a client."""

import struct


class At(int):
    """Epoch milliseconds: tag 1 over a whole number."""


def head(major: int, value: int) -> bytes:
    if value < 24:
        return bytes([major << 5 | value])
    for extra, form in ((24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q")):
        if value < 1 << 8 * struct.calcsize(form):
            return bytes([major << 5 | extra]) + struct.pack(form, value)
    raise ValueError(value)


def encode(value, indefinite: bool = False) -> bytes:
    """With `indefinite`, maps, arrays, texts and byte strings leave their length open."""
    if value is None or isinstance(value, bool):
        return {None: b"\xf6", True: b"\xf5", False: b"\xf4"}[value]
    if isinstance(value, At):
        return b"\xc1" + head(0, int(value))
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, (bytes, str)):
        major, data = (2, value) if isinstance(value, bytes) else (3, value.encode())
        if not indefinite or not data.isascii():
            return head(major, len(data)) + data
        middle = len(data) // 2
        chunks = b"".join(head(major, len(part)) + part for part in (data[:middle], data[middle:]))
        return bytes([major << 5 | 31]) + chunks + b"\xff"
    if isinstance(value, list):
        entries = b"".join(encode(entry, indefinite) for entry in value)
        return b"\x9f" + entries + b"\xff" if indefinite else head(4, len(value)) + entries
    pairs = b"".join(encode(key) + encode(entry, indefinite) for key, entry in value.items())
    return b"\xbf" + pairs + b"\xff" if indefinite else head(5, len(value)) + pairs


def decode(data: bytes):
    value, at = read(data, 0)
    assert at == len(data), "bytes are left over"
    return value


def read(data: bytes, at: int):
    major, extra = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        if extra == 27:
            return struct.unpack_from(">d", data, at)[0], at + 8
        return {20: False, 21: True, 22: None}[extra], at
    if extra >= 24:
        size = 1 << extra - 24
        extra, at = int.from_bytes(data[at : at + size], "big"), at + size
    if major in (2, 3):
        part = data[at : at + extra]
        return (part if major == 2 else part.decode()), at + extra
    if major == 4:
        entries = []
        for _ in range(extra):
            entry, at = read(data, at)
            entries.append(entry)
        return entries, at
    if major == 5:
        pairs = {}
        for _ in range(extra):
            key, at = read(data, at)
            pairs[key], at = read(data, at)
        return pairs, at
    if major == 6:
        assert extra == 1, "the only tag is that of times"
        value, at = read(data, at)
        return At(value), at
    return (extra if major == 0 else -1 - extra), at
