"""Medians and ratios of alternating rounds."""

from statistics import median

__all__ = ["median", "spread", "ratio"]


def spread(values):
    """Least and greatest."""
    return min(values), max(values)


def ratio(ours, theirs):
    """The ratio of medians, and the least and greatest of the ratios round by round: rounds alternate, so what disturbs
    one disturbs its neighbours of the same round."""
    pairs = [a / b for a, b in zip(ours, theirs) if b]
    if not pairs or not median(theirs):
        return None
    return median(ours) / median(theirs), min(pairs), max(pairs)
