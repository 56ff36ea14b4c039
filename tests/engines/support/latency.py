"""How long requests took, alone and beside others, as ratios: a time by itself says more about the machine."""

from __future__ import annotations

from dataclasses import dataclass

Attempt = tuple[str, float, float, int]  # kind, begin, end, status


def percentile(values: list[float], share: float) -> float:
    """The smallest value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True)
class Latency:
    """Of the requests of one kind, in milliseconds."""

    count: int
    p50_ms: float
    p99_ms: float
    longest_ms: float

    @classmethod
    def of(cls, attempts: list[Attempt]) -> Latency:
        took = [(end - begin) * 1_000 for _, begin, end, _ in attempts]
        return cls(len(took), percentile(took, 0.5), percentile(took, 0.99), max(took))

    def __str__(self) -> str:
        return f"n={self.count} p50={self.p50_ms:.1f} ms p99={self.p99_ms:.1f} ms longest={self.longest_ms:.0f} ms"


def within(attempts: list[Attempt], begin: float, end: float) -> list[Attempt]:
    """Those that began and ended in that time."""
    return [one for one in attempts if begin <= one[1] and one[2] <= end]


def outside(attempts: list[Attempt], windows: list[tuple[float, float]]) -> list[Attempt]:
    """Those that meet none of these times."""
    return [one for one in attempts if all(one[2] < begin or end < one[1] for begin, end in windows)]
