"""Where deliveries go in tests: moto's S3 server, a proxy in front of it that fails as it is told, and an HTTP
endpoint."""

import base64
import gzip
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3

BUCKET = "lake"
ROLE = "arn:aws:iam::000000000000:role/delivery"


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def answer(self, status: int, body: bytes, headers: dict | None = None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def hang_up(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


class Listening:
    """A handler's server, in a thread of its own."""

    def __init__(self, handler):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Store:
    """moto's server with one bucket."""

    def __init__(self, log: Path):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.log = open(log, "wb")
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        self.url = f"http://127.0.0.1:{port}"
        keys = {"aws_access_key_id": "store", "aws_secret_access_key": "store-secret"}
        self.client = boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", **keys)
        deadline = time.monotonic() + 30
        while True:
            try:
                self.client.create_bucket(Bucket=BUCKET)
                return
            except Exception:
                assert self.process.poll() is None and time.monotonic() < deadline, Path(log).read_text()
                time.sleep(0.05)

    def environment(self, url: str | None = None) -> dict:
        """What a server is started with that delivers here."""
        return {
            "AWS_ENDPOINT_URL_S3": url or self.url,
            "AWS_ACCESS_KEY_ID": "store",
            "AWS_SECRET_ACCESS_KEY": "store-secret",
            "AWS_REGION": "us-east-1",
        }

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Every object, unzipped, by name."""
        found = {}
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
            for entry in page.get("Contents", []):
                body = self.client.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
                found[entry["Key"]] = gzip.decompress(body) if entry["Key"].endswith(".gz") else body
        return found

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.log.close()


def flapping(url: str, chance) -> Listening:
    """A proxy that hangs up, refuses, or forwards and then says nothing of it, one time in two."""
    host = url.removeprefix("http://")

    class Proxy(Quiet):
        def do_PUT(self):
            body = self.body()
            way = chance.choice(["forward"] * 3 + ["refuse", "hang up", "forward and hang up"])
            if way == "refuse":
                return self.answer(503, b"<Error><Code>SlowDown</Code><Message>later</Message></Error>")
            if way == "hang up":
                return self.hang_up()
            onward = http.client.HTTPConnection(host, timeout=30)
            onward.request("PUT", self.path, body, dict(self.headers))
            answer = onward.getresponse()
            text = answer.read()
            onward.close()
            if way != "forward":
                return self.hang_up()
            self.answer(answer.status, text, {"etag": answer.headers.get("etag", "")})

    return Listening(Proxy)


class Endpoint(Listening):
    """Takes what is delivered; `chance` makes it fail one time in two, also after it has taken something."""

    def __init__(self, chance=None):
        self.records: list[bytes] = []
        self.requests: list[dict] = []
        endpoint = self

        class Handler(Quiet):
            def do_POST(self):
                body = self.body()
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                request = json.loads(body)
                way = chance.choice(["take"] * 2 + ["refuse", "take and hang up"]) if chance else "take"
                if way == "refuse":
                    return self.answer(500, b'{"errorMessage": "later"}', {"content-type": "application/json"})
                endpoint.requests.append(dict(self.headers))
                endpoint.records += [base64.b64decode(record["data"]) for record in request["records"]]
                if way == "take and hang up":
                    return self.hang_up()
                answer = {"requestId": request["requestId"], "timestamp": int(time.time() * 1000)}
                self.answer(200, json.dumps(answer).encode(), {"content-type": "application/json"})

        super().__init__(Handler)


def bucket(**more) -> dict:
    """A configuration that delivers as soon as possible."""
    hints = {"SizeInMBs": 1, "IntervalInSeconds": 0}
    return {"RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{BUCKET}", "BufferingHints": hints, **more}


def wait_until(what: str, so, timeout: float = 30):
    deadline = time.monotonic() + timeout
    while not so():
        assert time.monotonic() < deadline, f"{what} did not come within {timeout} s"
        time.sleep(0.05)
