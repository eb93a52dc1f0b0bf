"""Matroska, as little of it as a PutMedia producer writes and a GetMedia reader needs."""

import struct
from dataclasses import dataclass, field

EBML, SEGMENT, INFO, TRACKS, CLUSTER, TAGS = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675, 0x1254C367
TRACK, NUMBER, UID, KIND, CODEC, SCALE, TIMESTAMP = 0xAE, 0xD7, 0x73C5, 0x83, 0x86, 0x2AD7B1, 0xE7
SIMPLE_BLOCK, GROUP, BLOCK, VOID = 0xA3, 0xA0, 0xA1, 0xEC
TAG, SIMPLE_TAG, TAG_NAME, TAG_STRING = 0x7373, 0x67C8, 0x45A3, 0x4487
MASTERS = {SEGMENT, CLUSTER, TAGS, TAG, SIMPLE_TAG, GROUP}
END_OF_FRAGMENT = "AWS_KINESISVIDEO_END_OF_FRAGMENT"


def element(identifier: int, data: bytes, size: bytes | None = None) -> bytes:
    """One element; its size takes eight bytes unless it is given."""
    head = identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")
    return head + (size or (1 << 56 | len(data)).to_bytes(8, "big")) + data


def number(identifier: int, value: int) -> bytes:
    return element(identifier, value.to_bytes(8, "big"))


def header(codecs=("D_SENSOR/RAW",)) -> bytes:
    """All before the first cluster, for tracks of these codecs, numbered from 1."""
    tracks = b"".join(
        element(TRACK, number(NUMBER, index) + number(UID, index) + number(KIND, 33) + element(CODEC, codec.encode()))
        for index, codec in enumerate(codecs, 1)
    )
    doc_type = element(EBML, element(0x4282, b"matroska"))
    return doc_type + element(SEGMENT, b"", b"\xff") + element(INFO, number(SCALE, 1_000_000)) + element(TRACKS, tracks)


def block(data: bytes, time: int = 0, track: int = 1, flags: int = 0x80) -> bytes:
    return element(SIMPLE_BLOCK, bytes([0x80 | track]) + struct.pack(">hB", time, flags) + data)


def cluster(timecode: int, *blocks: bytes, known: bool = True) -> bytes:
    inside = number(TIMESTAMP, timecode) + b"".join(blocks)
    return element(CLUSTER, inside, None if known else b"\xff")


def tags(**values: str) -> bytes:
    """Each tag in an element of its own, as the AWS producer SDKs write them."""
    return b"".join(
        element(TAGS, element(TAG, element(SIMPLE_TAG, element(TAG_NAME, name.encode()) + element(TAG_STRING, value.encode()))))
        for name, value in values.items()
    )


@dataclass
class File:
    """One Matroska file: GetMedia delivers one for each fragment."""

    tags: dict = field(default_factory=dict)
    timecodes: list = field(default_factory=list)
    # Track, time, key, frame.
    blocks: list = field(default_factory=list)

    @property
    def number(self) -> str:
        return self.tags["AWS_KINESISVIDEO_FRAGMENT_NUMBER"]

    @property
    def complete(self) -> bool:
        return "AWS_KINESISVIDEO_CONTINUATION_TOKEN" in self.tags

    def frames(self, track: int = 1) -> list[bytes]:
        return [data for at, _, _, data in self.blocks if at == track]


def vint(data: bytes, at: int, keep: bool = False) -> tuple[int, int]:
    length = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + length], "big")
    return (value if keep else value & ((1 << 7 * length) - 1)), at + length


def files(data: bytes) -> list[File]:
    """The files that follow each other; the last one as far as it has come."""
    found, at, name = [], 0, ""
    while at < len(data):
        try:
            identifier, start = vint(data, at, keep=True)
            size, start = vint(data, start)
        except IndexError:
            return found
        at = start if identifier in MASTERS else start + size
        content = data[start : start + size]
        if identifier in MASTERS:
            continue
        if len(content) < size:
            return found
        if identifier == EBML:
            found.append(File())
        elif identifier == TIMESTAMP:
            found[-1].timecodes.append(int.from_bytes(content, "big"))
        elif identifier in (SIMPLE_BLOCK, BLOCK):
            track, after = vint(content, 0)
            time, flags = struct.unpack(">hB", content[after : after + 3])
            found[-1].blocks.append((track, time, bool(flags & 0x80), content[after + 3 :]))
        elif identifier == TAG_NAME:
            name = content.decode()
            found[-1].tags.setdefault(name, "")
        elif identifier == TAG_STRING:
            found[-1].tags[name] = content.decode()
    return found
