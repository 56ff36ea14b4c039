"""Latencies of requests, alone and beside others, as ratios, because absolute times depend on the machine."""

from __future__ import annotations

from dataclasses import dataclass

Attempt = tuple[str, float, float, int]  # kind, begin, end, status


def percentile(values: list[float], share: float) -> float:
    """Returns the percentile: the smallest value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True)
class Latency:
    """The latencies of one kind of requests, in milliseconds."""

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
    """Returns the attempts that began and ended in this interval."""
    return [one for one in attempts if begin <= one[1] and one[2] <= end]


def outside(attempts: list[Attempt], windows: list[tuple[float, float]]) -> list[Attempt]:
    """Returns the attempts outside of these intervals."""
    return [one for one in attempts if all(one[2] < begin or end < one[1] for begin, end in windows)]
