"""A publisher of AV1 over RTSP: neither ffmpeg 5 nor GStreamer 1.22 packs it."""

import hashlib
import re
import socket
import struct
import subprocess
import time

FPS = 30
PACKET_BYTES = 1200


def temporal_units(seconds: int) -> list[list[bytes]]:
    """The open bitstream units of each picture, without their sizes and without delimiters."""
    command = [
        "ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=size=640x360:rate={FPS}:duration={seconds}",
        "-pix_fmt", "yuv420p", "-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-g", "60",
        "-keyint_min", "60", "-b:v", "1M", "-f", "obu", "-",
    ]  # fmt: skip
    stream = subprocess.run(command, check=True, capture_output=True, timeout=180).stdout
    units, at = [], 0
    while at < len(stream):
        header, at = stream[at], at + 1
        size, shift = 0, 0
        while True:
            byte, at = stream[at], at + 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if header >> 3 == 2:
            units.append([])
        else:
            units[-1].append(bytes([header & ~2]) + stream[at : at + size])
        at += size
    return units


def payloads(unit: list[bytes]) -> list[bytes]:
    """Every open bitstream unit in packets of its own."""
    out = []
    for obu in unit:
        pieces = [obu[at : at + PACKET_BYTES] for at in range(0, len(obu), PACKET_BYTES)]
        for number, piece in enumerate(pieces):
            flags = 0x10 | (0x80 if number else 0) | (0x40 if number + 1 < len(pieces) else 0)
            out.append(bytes([flags]) + piece)
    return out


class Session:
    """One RTSP connection, with Digest authentication (RFC 7616, MD5)."""

    def __init__(self, address: str, name: str, device: dict):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.url, self.device = f"rtsp://{address}/{name}", device
        self.sequence, self.challenge, self.session = 0, None, None

    def ask(self, method: str, url: str, headers: dict | None = None, body: str = "") -> str:
        status, answer = self.once(method, url, headers or {}, body)
        if status == 401:
            self.challenge = dict(re.findall(r'(\w+)="([^"]*)"', next(line for line in answer.splitlines() if "MD5" in line)))
            status, answer = self.once(method, url, headers or {}, body)
        assert status == 200, answer
        return answer

    def once(self, method: str, url: str, headers: dict, body: str) -> tuple[int, str]:
        self.sequence += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self.sequence}", *(f"{name}: {value}" for name, value in headers.items())]
        if self.challenge:
            lines.append(f"Authorization: {self.digest(method, url)}")
        if self.session:
            lines.append(f"Session: {self.session}")
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.socket.sendall("\r\n".join([*lines, "", body]).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.socket.recv(4096)
        text = answer.decode()
        return int(text.split()[1]), text

    def digest(self, method: str, url: str) -> str:
        def md5(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        user, realm, nonce = self.device["username"], self.challenge["realm"], self.challenge["nonce"]
        secret = md5(f"{user}:{realm}:{self.device['password']}")
        if "qop" in self.challenge:
            reply = md5(f"{secret}:{nonce}:00000001:0a4f113b:auth:{md5(f'{method}:{url}')}")
            extra = ', qop=auth, nc=00000001, cnonce="0a4f113b"'
        else:
            reply, extra = md5(f"{secret}:{nonce}:{md5(f'{method}:{url}')}"), ""
        return f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{url}", response="{reply}"{extra}'


def push_av1(server, name: str, device: dict, seconds: int):
    """Pushes a test picture at the rate it plays."""
    units = temporal_units(seconds)
    session = Session(server.addresses["rtsp"], name, device)
    sdp = (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 AV1/90000\r\na=control:track0\r\n"
    )
    session.ask("ANNOUNCE", session.url, {"Content-Type": "application/sdp"}, sdp)
    transport = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record"}
    answer = session.ask("SETUP", session.url + "/track0", transport)
    session.session = re.search(r"(?im)^session: *([^;\s]+)", answer).group(1)
    session.ask("RECORD", session.url)
    began, sequence = time.monotonic(), 0
    for number, unit in enumerate(units):
        time.sleep(max(0.0, began + number / FPS - time.monotonic()))
        packets = payloads(unit)
        for index, payload in enumerate(packets):
            marker = 0x80 if index + 1 == len(packets) else 0
            header = struct.pack(">BBHII", 0x80, 96 | marker, sequence & 0xFFFF, number * 90_000 // FPS, 7)
            packet = header + payload
            session.socket.sendall(b"$\0" + struct.pack(">H", len(packet)) + packet)
            sequence += 1
    session.ask("TEARDOWN", session.url)
    session.socket.close()
