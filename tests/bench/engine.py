"""The log and the index, measured in process by the Rust benches of this folder's crate."""

import subprocess
from pathlib import Path


def run(folder: Path):
    root = Path(__file__).parents[2]
    for bench in ("log", "index"):
        subprocess.run(["cargo", "bench", "--quiet", "--locked", "-p", "tests", "--bench", bench], cwd=root, check=True)
