"""The rows of the table, and how they are shown."""

import json
import os
import statistics
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One figure and its bar. *bar* is the most it may be, or the least (*least*); None: only beside others."""

    name: str
    figure: float
    unit: str
    bar: float | None = None
    least: bool = False
    more: str = ""

    @property
    def met(self) -> bool:
        """Whether the figure keeps to its bar."""
        return self.bar is None or (self.figure >= self.bar if self.least else self.figure <= self.bar)

    def __str__(self) -> str:
        bar = "" if self.bar is None else f"{'>=' if self.least else '<='} {self.bar:g}"
        return f"{self.name:62} {self.figure:9.3f} {self.unit:14} {bar:9} {'' if self.met else 'MISSED ':7}{self.more}"


def write(path: Path, rows: list[Row], left_out: list[str]) -> None:
    """All of it as JSON."""
    table = [{**asdict(row), "met": row.met} for row in rows]
    path.write_text(json.dumps({"rows": table, "left_out": left_out}, indent=2) + "\n")


def median_ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of the ratios of paired rounds."""
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def pin(core: int) -> None:
    """Run this process on the *core*-th of the cores it may have, where the system lets it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {cores()[core % len(cores())]})


def cores() -> list[int]:
    """The cores this process could have when it began."""
    return _CORES


_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
Rows = Callable[..., Iterable[Row]]
