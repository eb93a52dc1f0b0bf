"""Holds what came out at one place against what went in."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Lanes = dict[Any, list]


@dataclass
class Outlet:
    """One place where records or fragments come out."""

    name: str
    # What has an order of its own, a shard or an object: what came from it, as it came.
    read: Lanes
    # What must be there.
    acknowledged: Collection
    # All that may be there.
    sent: Collection
    # Whether nothing may be there twice.
    once: bool = True
    # What stands before what, where that is known: it must rise within a lane.
    order: Mapping = field(default_factory=dict)

    def faults(self) -> list[str]:
        """What is wrong, in words; nothing where all is well."""
        found = Counter(item for items in self.read.values() for item in items)
        told = {
            "lost": [item for item in self.acknowledged if item not in found],
            "invented": [item for item in found if item not in self.sent],
            "doubled": [item for item, count in found.items() if self.once and count > 1],
            "out of order": [pair for items in self.read.values() for pair in self.disordered(items)],
        }
        return [f"{self.name}: {len(items)} {what}, as {items[:3]}" for what, items in told.items() if items]

    def disordered(self, items: list) -> list[tuple]:
        known = [item for item in items if item in self.order]
        return [(one, other) for one, other in zip(known, known[1:]) if self.order[one] > self.order[other]]

    def with_read(self, read: Lanes) -> "Outlet":
        return replace(self, read=read)


def without(outlet: Outlet) -> Lanes:
    """What was read, less one that was acknowledged."""
    gone = next(iter(outlet.acknowledged))
    return {lane: [item for item in items if item != gone] for lane, items in outlet.read.items()}


def with_foreign(outlet: Outlet) -> Lanes:
    return {**outlet.read, "nowhere": ["nobody sent this"]}


def with_double(outlet: Outlet) -> Lanes:
    item = next(item for items in outlet.read.values() for item in items)
    return {**outlet.read, "again": [item]}


def swapped(outlet: Outlet) -> Lanes:
    """What was read, the first two of a lane that have an order the other way round."""
    for lane, items in outlet.read.items():
        known = [place for place, item in enumerate(items) if item in outlet.order]
        if len(known) > 1:
            one, other = known[:2]
            changed = list(items)
            changed[one], changed[other] = items[other], items[one]
            return {**outlet.read, lane: changed}
    raise AssertionError(f"{outlet.name}: nothing with an order")


# Each fault, and how a reading gets it.
SPOILT: dict[str, Callable[[Outlet], Lanes]] = {
    "lost": without,
    "invented": with_foreign,
    "doubled": with_double,
    "out of order": swapped,
}


def notices(outlet: Outlet) -> list[str]:
    """Which faults the outlet finds in its own reading, spoilt: that a check passes says something only then."""
    applicable = {what: spoil for what, spoil in SPOILT.items() if applies(outlet, what)}
    return [what for what, spoil in applicable.items() if any(what in told for told in outlet.with_read(spoil(outlet)).faults())]


def applies(outlet: Outlet, what: str) -> bool:
    return {"doubled": outlet.once, "out of order": bool(outlet.order)}.get(what, True)
