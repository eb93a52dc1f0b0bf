"""Emulators of Kinesis Data Streams that keep everything in memory, installed for the benches alone."""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
from botocore.credentials import Credentials
from load import TARGET
from server import REGION

FOLDER = Path(os.environ.get("BENCH_PEERS", TARGET / "bench-peers"))
FERROKINESIS, KINESALITE = "0.7.0", "3.3.3"
CARGO = ["cargo", "install", "--quiet", "--locked", "--root", str(FOLDER), f"ferrokinesis@{FERROKINESIS}"]
NPM = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(FOLDER), f"kinesalite@{KINESALITE}"]
# By name: the program, and what installs it.
PEERS = {
    "ferrokinesis": (FOLDER / "bin" / "ferrokinesis", CARGO),
    "kinesalite": (FOLDER / "node_modules" / ".bin" / "kinesalite", NPM),
}


def installed() -> list[str]:
    """The peers that are there, or could be installed; tells of the others."""
    there = []
    for name, (program, install) in PEERS.items():
        if not program.exists():
            print(f"  installing {name}", flush=True)
            FOLDER.mkdir(parents=True, exist_ok=True)
            subprocess.run(install, check=False)
        if program.exists():
            there.append(name)
        else:
            print(f"  {name} could not be installed: {' '.join(install)}")
    return there


class Peer:
    """A running peer, with as much of the face of `Server` as the load generator needs."""

    def __init__(self, name: str, folder: Path):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.addresses = {"http": f"127.0.0.1:{port}"}
        self.log = open(folder / f"{name}.log", "ab")
        command = [str(PEERS[name][0]), "--port", str(port)]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 20
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not answer: {self.log.name}")
            time.sleep(0.05)

    def answers(self) -> bool:
        try:
            urllib.request.urlopen(f"http://{self.addresses['http']}/", timeout=5)
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def credentials(self) -> Credentials:
        return Credentials("AKIDPEER", "secret")

    def client(self, service: str):
        key = {"aws_access_key_id": "AKIDPEER", "aws_secret_access_key": "secret"}
        return boto3.client(service, endpoint_url=f"http://{self.addresses['http']}", region_name=REGION, **key)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()
