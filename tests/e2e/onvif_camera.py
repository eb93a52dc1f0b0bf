"""An ONVIF device on loopback: answers probes over UDP, and calls over HTTP to who knows the password."""

import base64
import hashlib
import re
import socket
import threading
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ENVELOPE = '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope">{}</s:Envelope>'
MATCH = (
    '<s:Header><a:RelatesTo xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing">{id}</a:RelatesTo></s:Header>'
    '<s:Body xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><d:ProbeMatches><d:ProbeMatch>'
    "<d:Scopes>onvif://www.onvif.org/name/Front%20Door</d:Scopes>"
    "<d:XAddrs>http://127.0.0.1:{port}/onvif/device_service</d:XAddrs></d:ProbeMatch></d:ProbeMatches></s:Body>"
)
PROFILE = (
    '<Profiles token="main"><Name>Main</Name><VideoEncoderConfiguration><Encoding>H264</Encoding>'
    "<Resolution><Width>320</Width><Height>240</Height></Resolution></VideoEncoderConfiguration></Profiles>"
)


class OnvifCamera:
    """Tells `url` to `user` with `password`; `address` is where it is probed."""

    def __init__(self, url: str, user: str, password: str):
        answers = {
            "GetSystemDateAndTime": self.time,
            "GetDeviceInformation": lambda: "<Manufacturer>Acme</Manufacturer><Model>C 1000</Model>",
            "GetCapabilities": lambda: "<Capabilities/>",
            "GetProfiles": lambda: PROFILE,
            "GetStreamUri": lambda: f"<MediaUri><Uri>{url}</Uri></MediaUri>",
        }

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler):
                asked = handler.rfile.read(int(handler.headers["content-length"])).decode()
                call = next(name for name in answers if f"<{name} " in asked)
                if call == "GetSystemDateAndTime" or signed(asked, user, password):
                    status, body = 200, f"<{call}Response>{answers[call]()}</{call}Response>"
                else:
                    status, body = 401, ""
                text = ENVELOPE.format(f"<s:Body>{body}</s:Body>").encode()
                handler.send_response(status)
                handler.send_header("content-length", str(len(text)))
                handler.end_headers()
                handler.wfile.write(text)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.udp.getsockname()[1]}"
        self.threads = [threading.Thread(target=self.http.serve_forever), threading.Thread(target=self.answer_probes)]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def time() -> str:
        now = datetime.now(timezone.utc)
        clock = f"<Time><Hour>{now.hour}</Hour><Minute>{now.minute}</Minute><Second>{now.second}</Second></Time>"
        date = f"<Date><Year>{now.year}</Year><Month>{now.month}</Month><Day>{now.day}</Day></Date>"
        return f"<SystemDateAndTime><UTCDateTime>{clock}{date}</UTCDateTime></SystemDateAndTime>"

    def answer_probes(self):
        while True:
            asked, peer = self.udp.recvfrom(65536)
            if not asked:
                return
            message = re.search(r"MessageID>([^<]*)<", asked.decode())[1]
            told = MATCH.format(id=message, port=self.http.server_port)
            self.udp.sendto(ENVELOPE.format(told).encode(), peer)

    def stop(self):
        self.http.shutdown()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.udp.getsockname())
        for thread in self.threads:
            thread.join(10)
        self.http.server_close()
        self.udp.close()


def signed(asked: str, user: str, password: str) -> bool:
    def told(name):
        found = re.search(rf"<{name}(?: [^>]*)?>([^<]*)<", asked)
        return found[1] if found else ""

    nonce, created = base64.b64decode(told("w:Nonce")), told("u:Created")
    digest = hashlib.sha1(nonce + created.encode() + password.encode()).digest()
    return told("w:Username") == user and told("w:Password") == base64.b64encode(digest).decode()
