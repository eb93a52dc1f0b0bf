"""Starts the released binary on free ports, and speaks to it as its users do."""

import configparser
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

BINARY = os.environ.get("MILLRACE", "target/release/millrace")
REGION = "us-east-1"
LISTENERS = ("http", "https", "rtsp", "rtsps", "webrtc")
# The tests' own master key: the data folders of a test run are thrown away.
MASTER_KEY = "bWlsbHJhY2UtdGVzdHMtbWFzdGVyLWtleS0zMi1ieXQ="


class NotReady(Exception):
    pass


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    def json(self):
        return json.loads(self.body)


class Server:
    """One `millrace serve` over one data folder; may be stopped, killed and started again."""

    def __init__(self, data: Path, *options: str, env: dict | None = None):
        self.data = Path(data)
        self.options = options
        # Builds fill a disk: above the floor by little, tests that count on old footage would miss it.
        floor = {"MILLRACE_FREE_FLOOR": "2%"}
        self.env = {**os.environ, "MILLRACE_MASTER_KEY": MASTER_KEY, "RUST_BACKTRACE": "1", **floor, **(env or {})}
        self.process: subprocess.Popen | None = None
        self.log = self.data.with_name(self.data.name + ".log")

    # -- the process ------------------------------------------------------------------------

    def start(self, timeout: float = 30) -> "Server":
        ports = [flag for name in LISTENERS for flag in (f"--{name}", "127.0.0.1:0")]
        (self.data / "addresses.json").unlink(missing_ok=True)
        with open(self.log, "ab") as log:
            command = [BINARY, "serve", "--data", str(self.data), *ports, *self.options]
            self.process = subprocess.Popen(command, env=self.env, stdout=log, stderr=log)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise NotReady(f"exit {self.process.returncode}:\n{self.tail()}")
            if self.ready():
                return self
            time.sleep(0.02)
        raise NotReady(f"not ready after {timeout} s:\n{self.tail()}")

    def ready(self) -> bool:
        try:
            self.addresses = json.loads((self.data / "addresses.json").read_text())
            return self.get("/readyz", sign=False).status == 200
        except (OSError, ValueError):
            return False

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self, timeout: float = 15) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def cli(self, *words: str, check: bool = True, **options) -> subprocess.CompletedProcess:
        return subprocess.run(
            [BINARY, *words], env=self.env, check=check, capture_output=True, text=True, timeout=60, **options
        )

    # -- what clients use -------------------------------------------------------------------

    def url(self, listener: str = "http") -> str:
        scheme = "https" if listener == "https" else "http"
        return f"{scheme}://{self.addresses[listener]}"

    def credentials(self) -> Credentials:
        parser = configparser.ConfigParser()
        parser.read(self.data / "credentials")
        section = parser["default"]
        return Credentials(section["aws_access_key_id"], section["aws_secret_access_key"])

    def environment(self, listener: str = "http") -> dict:
        """Of a client that knows nothing but where the server is, and a key."""
        key = self.credentials()
        authority = str(self.data / "tls/ca.pem")
        return {
            "PATH": os.environ["PATH"],
            "AWS_ENDPOINT_URL": self.url(listener),
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": key.access_key,
            "AWS_SECRET_ACCESS_KEY": key.secret_key,
            "AWS_CA_BUNDLE": authority,
            "NODE_EXTRA_CA_CERTS": authority,
        }

    def client(self, service: str = "kinesisvideo", endpoint: str | None = None, **options):
        key = self.credentials()
        return boto3.client(
            service,
            endpoint_url=endpoint or self.url(),
            region_name=REGION,
            aws_access_key_id=key.access_key,
            aws_secret_access_key=key.secret_key,
            config=Config(retries={"max_attempts": 0}, parameter_validation=False, **options),
        )

    def archive(self, name: str, api: str = "LIST_FRAGMENTS", service: str = "kinesis-video-archived-media"):
        """A data-plane client, at the endpoint that GetDataEndpoint names."""
        endpoint = self.client().get_data_endpoint(StreamName=name, APIName=api)["DataEndpoint"]
        return self.client(service, endpoint)

    def device(self, glob: str, allow: str = "publish,play,create") -> dict:
        made = self.cli("keys", "create", "--data", str(self.data), "--stream", glob, "--allow", allow, "--json")
        return json.loads(made.stdout)

    def rtsp_url(self, name: str, device: dict, listener: str = "rtsp") -> str:
        user, password = device["username"], device["password"]
        return f"{listener}://{user}:{password}@{self.addresses[listener]}/{name}"

    # -- signed HTTP ------------------------------------------------------------------------

    def request(self, method, path, body=None, *, sign=True, headers=None, credentials=None, timeout=30) -> Answer:
        url = path if path.startswith("http") else self.url() + path
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        request = AWSRequest(method=method, url=url, data=data, headers=headers or {})
        if data is not None and "content-type" not in {name.lower() for name in request.headers}:
            request.headers["content-type"] = "application/json"
        if sign:
            SigV4Auth(credentials or self.credentials(), "kinesisvideo", REGION).add_auth(request)
        prepared = request.prepare()
        wire = urllib.request.Request(prepared.url, data=data, method=method, headers=dict(prepared.headers))
        try:
            with urllib.request.urlopen(wire, timeout=timeout) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, dict(error.headers), error.read())

    def get(self, path, **options) -> Answer:
        return self.request("GET", path, **options)

    def presigned(self, path: str, expires: int = 60) -> str:
        request = AWSRequest(method="GET", url=self.url() + path)
        SigV4QueryAuth(self.credentials(), "kinesisvideo", REGION, expires=expires).add_auth(request)
        return request.url

    def fragments(self, name: str, **query) -> list[dict]:
        """Every fragment of the stream, oldest first, by the native search."""
        found, cursor = [], None
        while True:
            params = {"stream": name, "limit": "1000", **query, **({"cursor": cursor} if cursor else {})}
            answer = self.get("/v1/fragments?" + urllib.parse.urlencode(params))
            assert answer.status == 200, answer.body
            page = answer.json()
            found += page["fragments"]
            cursor = page.get("next_cursor")
            if not cursor:
                return found

    def wait_for_fragments(self, name: str, count: int, timeout: float = 30) -> list[dict]:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = self.fragments(name)
            if len(found) >= count:
                return found
            time.sleep(0.1)
        raise AssertionError(f"{len(self.fragments(name))} of {count} fragments of {name} after {timeout} s\n{self.tail()}")

    def resident_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024
