"""A PutMedia producer on a plain socket: no SDK for Python has one."""

import hashlib
import hmac
import json
import socket
import threading
import time
from datetime import datetime, timezone

from server import REGION

EMPTY = hashlib.sha256(b"").hexdigest()


class Producer:
    """One connection. What it signs, and how, is up to the caller; acknowledgements are read as they come."""

    def __init__(
        self, server, stream: str | None = None, *, timecodes="RELATIVE", start: float | str | None = 0, headers=None,
        payload: str = EMPTY, declared: bool = False, port_in_host: bool = True, expect: bool = True, credentials=None,
    ):  # fmt: skip
        host, port = server.addresses["http"].rsplit(":", 1)
        credentials = credentials or server.credentials()
        fields = {
            "host": server.addresses["http"] if port_in_host else host,
            "user-agent": "tests",
            "x-amz-date": datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ"),
            "connection": "keep-alive",
            "transfer-encoding": "chunked",
            "x-amzn-fragment-acknowledgment-required": "1",
            "x-amzn-fragment-timecode-type": timecodes,
        }
        fields |= {"x-amzn-stream-name": stream} if stream else {}
        fields |= {"x-amzn-producer-start-timestamp": str(start)} if start is not None else {}
        fields |= {"x-amz-content-sha256": payload} if declared else {}
        fields |= headers or {}
        fields = {name: value for name, value in fields.items() if value is not None}
        fields["authorization"] = sign(fields, payload, credentials)
        fields |= {"content-type": "application/json"} | ({"expect": "100-continue"} if expect else {})
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.socket.sendall(f"POST /putMedia HTTP/1.1\r\n{head}\r\n".encode())
        self.reader = self.socket.makefile("rb")
        self.statuses = [self.head()]
        if self.statuses == [100]:
            self.statuses.append(self.head())
        self.acks, self.ended, self.changed = [], False, threading.Condition()
        self.refusal = None
        if self.statuses[-1] == 200:
            threading.Thread(target=self.read, daemon=True).start()
        else:
            self.refusal = self.reader.read(int(self.fields["content-length"])).decode()

    def head(self) -> int:
        status = int(self.reader.readline().split()[1])
        lines = iter(lambda: self.reader.readline().strip().decode(), "")
        self.fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return status

    def read(self):
        """Each acknowledgement is a chunk of its own, and a line."""
        try:
            while size := int(self.reader.readline(), 16):
                line = self.reader.read(size)
                assert self.reader.readline() == b"\r\n" and line.endswith(b"\n") and len(line) <= 1024
                with self.changed:
                    self.acks.append(json.loads(line))
                    self.changed.notify_all()
        except (ValueError, OSError):
            pass
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def send(self, data: bytes):
        self.socket.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def finish(self) -> list[dict]:
        """Ends the body, and waits for the end of the answer."""
        self.socket.sendall(b"0\r\n\r\n")
        return self.wait(lambda: self.ended)

    def drop(self):
        """What a power cut does."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.wait(lambda: self.ended)
        self.reader.close()
        self.socket.close()

    def wait(self, done, timeout: float = 20) -> list[dict]:
        with self.changed:
            assert self.changed.wait_for(done, timeout), self.acks
            return list(self.acks)

    def of(self, event: str) -> list[dict]:
        return [ack for ack in self.acks if ack["EventType"] == event]

    def persisted(self, count: int) -> list[str]:
        """The numbers of the fragments that are on disk, once there are so many."""
        self.wait(lambda: len(self.of("PERSISTED")) >= count)
        return [ack["FragmentNumber"] for ack in self.of("PERSISTED")]

    def error(self) -> dict:
        self.wait(lambda: self.of("ERROR") and self.ended)
        return self.of("ERROR")[0]


def sign(fields: dict, payload: str, credentials) -> str:
    """Signature Version 4 over exactly these headers."""
    names = ";".join(sorted(fields))
    canonical = "".join(f"{name}:{fields[name]}\n" for name in sorted(fields))
    request = f"POST\n/putMedia\n\n{canonical}\n{names}\n{payload}"
    date = fields["x-amz-date"]
    scope = f"{date[:8]}/{REGION}/kinesisvideo/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_key}".encode()
    for part in (date[:8], REGION, "kinesisvideo", "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={key.hex()}"


def send_file(server, stream: str, data: bytes, **options) -> Producer:
    """A whole file in portions, as a live source sends it."""
    producer = Producer(server, stream, **options)
    assert producer.statuses[-1] == 200, producer.refusal
    for at in range(0, len(data), 20_000):
        producer.send(data[at : at + 20_000])
    producer.finish()
    assert not producer.of("ERROR"), producer.acks
    return producer


class Reader:
    """GetMedia's answer, read as it comes."""

    def __init__(self, payload):
        self.payload, self.data = payload, b""

    def until(self, done, timeout: float = 20) -> bytes:
        """Reads until `done` says so of all there is."""
        deadline = time.monotonic() + timeout
        while not done(self.data):
            assert time.monotonic() < deadline, f"{len(self.data)} bytes"
            piece = self.payload._raw_stream.read1(65_536)
            assert piece, "the answer ended"
            self.data += piece
        return self.data
