"""`make bench`: every figure a ratio against a peer or the hardware, measured in this run.

usage: run.py [NAME …]   (all benches without a name; --list names them)
       make bench BENCH=NAME

BENCH_ROUNDS, BENCH_SECONDS and what else a bench can be told stands at the top of its file.

Each figure is the median of its rounds, with the lowest and highest beside it. Rounds of ours and of
the peer take turns, so that a machine that slows down slows both. Nothing here passes or fails.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "e2e"))

import cameras
import deliveries
import engine
import first_frame
import frames_lost
import producers
import reboots
import reconnects
import records
import startup

BENCHES = {
    "cameras": cameras.run,
    "records": records.run,
    "producers": producers.run,
    "deliveries": deliveries.run,
    "frames-lost": frames_lost.run,
    "reboots": reboots.run,
    "reconnects": reconnects.run,
    "engine": engine.run,
    "startup": startup.run,
    "first-frame": first_frame.run,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHES)}")
    parser.add_argument("--list", action="store_true", help="name the benches and end")
    chosen = parser.parse_args()
    if chosen.list:
        print("\n".join(BENCHES))
        return
    unknown = [name for name in chosen.names if name not in BENCHES]
    if unknown:
        parser.error(f"no bench is called {unknown[0]}: use {', '.join(BENCHES)}")
    for name in chosen.names or BENCHES:
        print(f"\n== {name}", flush=True)
        with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
            BENCHES[name](Path(folder))


if __name__ == "__main__":
    main()
