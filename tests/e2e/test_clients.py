"""The AWS SDKs that speak other wire forms than boto3 does: CBOR, and event streams over HTTP/2. The client in each
(tests/clients) does the same things and tells as JSON what it found."""

import hashlib
import json
import os
import socket
import subprocess
import threading
import time
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "tests/clients"
RECORDS = 300
JAVA = CLIENTS / "java/target"
COMMANDS = {
    "Rust": [str(ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "debug/kinesis_client")],
    "JavaScript": ["node", str(CLIENTS / "js/main.mjs")],
    # A short life: what the JVM compiles well it does not use often enough.
    "Java": ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{JAVA / 'classes'}:{JAVA / 'lib'}/*", "Client"],
}
# How each begins its connections where there is no TLS: `PRI` is HTTP/2 with prior knowledge (RFC 9113, 3.4).
BEGINNINGS = {"Rust": {b"POST"}, "JavaScript": {b"PRI"}, "Java": {b"POST", b"PRI"}}
FIRST = "shardId-000000000000"


class Tap:
    """Forwards connections to the server, and notes each one's first word."""

    def __init__(self, address: str):
        host, port = address.rsplit(":", 1)
        self.words = words = set()

        class Forward(BaseRequestHandler):
            def handle(self):
                first = self.request.recv(65_536)
                words.add(first.split(b" ")[0])
                with socket.create_connection((host, int(port))) as server:
                    server.sendall(first)
                    threading.Thread(target=copy, args=(server, self.request), daemon=True).start()
                    copy(self.request, server)

        self.server = ThreadingTCPServer(("127.0.0.1", 0), Forward)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def copy(source: socket.socket, target: socket.socket):
    try:
        while piece := source.recv(65_536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.fixture(scope="module")
def other(server, tmp_path_factory) -> dict:
    """A key that may list streams and do nothing else."""
    policy = tmp_path_factory.mktemp("policy") / "list.json"
    statement = {"Effect": "Allow", "Action": "kinesis:ListStreams", "Resource": "*"}
    policy.write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    return json.loads(server.cli("keys", "create", "--data", str(server.data), "--policy", str(policy), "--json").stdout)


@pytest.fixture(scope="module")
def trusted(server, tmp_path_factory) -> str:
    """The server's authority as Java takes it."""
    store = tmp_path_factory.mktemp("trust") / "authority.p12"
    authority = ["-importcert", "-noprompt", "-alias", "millrace", "-file", str(server.data / "tls/ca.pem")]
    command = ["keytool", *authority, "-keystore", str(store), "-storetype", "PKCS12", "-storepass", "public"]
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    return f"-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword=public"


def run(client: str, stream: str, env: dict, other: dict, trusted: str) -> dict:
    """What a client has found that was to make this stream."""
    others = {"OTHER_ACCESS_KEY_ID": other["access_key_id"], "OTHER_SECRET_ACCESS_KEY": other["secret_access_key"]}
    env = {**env, **others, "JAVA_TOOL_OPTIONS": trusted}
    done = subprocess.run([*COMMANDS[client], stream], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return json.loads(done.stdout)


def data(number: int) -> str:
    return (str(number).encode() + b"\x00\xff").hex()


@pytest.mark.parametrize("client", COMMANDS)
def test_an_sdk_puts_reads_and_subscribes(server, other, trusted, client):
    tap, stream = Tap(server.addresses["http"]), f"{client}-http"
    env = {**server.environment(), "AWS_ENDPOINT_URL": tap.url}
    holds(stream, run(client, stream, env, other, trusted))
    assert tap.words == BEGINNINGS[client]
    tap.stop()


@pytest.mark.parametrize("client", COMMANDS)
def test_an_sdk_does_so_over_tls(server, other, trusted, client):
    stream = f"{client}-https"
    holds(stream, run(client, stream, server.environment("https"), other, trusted))


def holds(stream: str, found: dict):
    """Whether a client found all as it must be."""
    now = time.time() * 1000
    assert now - 60_000 < found["created"] <= now
    assert len(found["put"]) == RECORDS and set(found["read"]) == {FIRST, "shardId-000000000001"}
    for number, (shard, _) in enumerate(found["put"]):
        hashed = int.from_bytes(hashlib.md5(f"key-{number}".encode()).digest(), "big")
        assert shard == f"shardId-{hashed >> 127:012}"
    for shard, records in found["read"].items():
        wanted = [[data(number), sequence] for number, (place, sequence) in enumerate(found["put"]) if place == shard]
        assert [record[:2] for record in records] == wanted
        assert all(found["created"] <= arrived <= now for _, _, arrived in records)
    first = [record[0] for record in found["read"][FIRST]]
    assert found["since"] == len(first)
    assert found["pushed"] == [*first, data(RECORDS)] and found["ended"] == "ResourceNotFoundException"
    refusals = {
        "absent": ("ResourceNotFoundException", "Stream absent under account 000000000000 not found."),
        "again": ("ResourceInUseException", f"Stream {stream} under account 000000000000 already exists."),
        "iterator": ("InvalidArgumentException", "Invalid ShardIterator."),
        "million": ("LimitExceededException", "shard"),
        "none": ("ValidationException", "Value '0' at 'shardCount' failed to satisfy constraint"),
        "forged": ("InvalidSignatureException", "signature"),
        "denied": ("AccessDeniedException", "kinesis:DescribeStreamSummary"),
    }
    for what, (code, words) in refusals.items():
        told, status, message = found["errors"][what]
        assert (told, status) == (code, 400) and words in message, f"{what}: {found['errors'][what]}"
