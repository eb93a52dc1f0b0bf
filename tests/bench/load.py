"""The load generator (`fixtures/src/bin/load/`): built once, run with a command, answers in JSON."""

import json
import os
import resource
import subprocess
import time
from pathlib import Path

from figures import percentile

ROOT = Path(__file__).parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def build():
    command = ["cargo", "build", "--release", "--quiet", "--locked", "-p", "fixtures", "--features", "load", "--bin", "load"]
    subprocess.run(command, cwd=ROOT, check=True)


def run(server, command: str, **options) -> dict:
    """What one run found, and the processor seconds that the generator took itself (`own_cpu`)."""
    words = [str(TARGET / "release" / "load"), command]
    if server:
        key = server.credentials()
        words += ["--server", server.addresses["http"], "--access-key", key.access_key, "--secret-key", key.secret_key]
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"load {command}: {done.stderr.strip()}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**json.loads(done.stdout), "own_cpu": own}


def disk_sync_p99(folder: Path, count: int = 300) -> float:
    """Milliseconds of an `fdatasync` after a write of 4 KiB: the slowest hundredth, now."""
    path, times, block = folder / "peer", [], bytes(4096)
    with open(path, "wb", buffering=0) as file:
        for _ in range(count):
            began = time.monotonic()
            file.write(block)
            os.fdatasync(file.fileno())
            times.append((time.monotonic() - began) * 1000)
    path.unlink()
    return percentile(times, 0.99)
