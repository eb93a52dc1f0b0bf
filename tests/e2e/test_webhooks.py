"""Webhooks: changes of streams' states are posted, signed, to whom the configuration names."""

import base64
import hashlib
import hmac
import json
import signal
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from media import clip, end, ffmpeg_push

SECRET = base64.b64encode(b"a secret of the tests").decode()


@pytest.fixture
def receiver():
    """Takes every request, but refuses the first with 503."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            requests.append((dict(self.headers), body))
            self.send_response(503 if len(requests) == 1 else 204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    server.requests = requests
    yield server
    server.shutdown()
    thread.join(10)
    server.server_close()


def events(receiver, count, timeout=30):
    deadline = time.monotonic() + timeout
    while len(receiver.requests) < count:
        assert time.monotonic() < deadline, receiver.requests
        time.sleep(0.05)
    return [(headers["webhook-id"], json.loads(body)["data"]) for headers, body in receiver.requests]


def test_changes_of_state_are_posted(fresh, receiver, tmp_path):
    file = tmp_path / "millrace.toml"
    file.write_text("")
    server = fresh("--config", str(file))
    url = f"http://127.0.0.1:{receiver.server_port}/hook/hunter2"
    file.write_text(f'[[webhooks]]\nurl = "{url}"\nsecret = "whsec_{SECRET}"\nstreams = "door"\n')
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 30
    while 'millrace_webhook_waiting_events{webhook="1"' not in server.get("/metrics").body.decode():
        assert time.monotonic() < deadline, server.tail()
        time.sleep(0.05)
    nobody = {"url": "rtsp://127.0.0.1:9/nobody"}
    server.request("PUT", "/v1/streams/yard/source", nobody)  # which this webhook is not told of
    push = ffmpeg_push(clip(), server.rtsp_url("door", server.device("*")))
    events(receiver, 2)
    end(push)
    (first, live), (again, _), (_, offline) = events(receiver, 3)
    assert first == again, "what was refused with 503 is posted again"
    assert (live["stream"], live["before"], live["state"], live["reason"]) == ("door", "offline", "live", None)
    assert (offline["before"], offline["state"]) == ("live", "offline") and "connection" in offline["reason"]

    headers, body = receiver.requests[-1]
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    expected = hmac.new(base64.b64decode(SECRET), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(expected).decode()

    server.request("PUT", "/v1/streams/door/source", nobody)
    failing = events(receiver, 4)[3][1]
    assert failing["state"] == "offline" and "does not accept the connection" in failing["reason"]
    metrics = server.get("/metrics").body.decode()
    assert f'millrace_webhook_events_total{{webhook="1",url="http://127.0.0.1:{receiver.server_port}",outcome="delivered"}} 3' in metrics
    assert "hunter2" not in metrics + server.log.read_text() and SECRET not in server.log.read_text()
    assert server.stop() == 0
