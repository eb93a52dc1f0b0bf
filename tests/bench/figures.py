"""What the benches share: spread, processor time, and how a figure is shown."""

import os
import statistics
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and the children it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(fields[index]) for index in (11, 12)) / TICKS


def resident_mb(pid: int, kind: str = "VmRSS") -> float:
    """Resident memory; of kind `RssAnon` without the files that it has mapped, such as the index."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split(f"{kind}:")[1].split()[0]) / 1024


def spread(values: list[float], digits: int = 2) -> str:
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def show(what: str, value: str, bar: str = ""):
    print(f"{what:<62} {value:<28} {bar}", flush=True)
