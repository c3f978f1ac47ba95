"""Medians, and ratios of paired rounds with their uncertainty."""

import random
from dataclasses import dataclass
from statistics import median

RESAMPLES = 4000


@dataclass
class Estimate:
    """A median and the interval that holds it with 95 % confidence, by bootstrap."""

    value: float
    low: float
    high: float
    samples: int

    @staticmethod
    def of(values):
        # The seed is fixed: the same samples give the same interval.
        draw = random.Random(1)
        medians = sorted(
            median(draw.choices(values, k=len(values))) for _ in range(RESAMPLES)
        )
        low, high = medians[int(RESAMPLES * 0.025)], medians[int(RESAMPLES * 0.975)]
        return Estimate(median(values), low, high, len(values))


def paired_ratio(numerators, denominators):
    """The median of the ratios within each round that has both, or None without such a round.

    Both arguments map the number of a round to its figure.
    """
    ratios = [
        value / denominators[number]
        for number, value in numerators.items()
        if denominators.get(number)
    ]
    return Estimate.of(ratios) if ratios else None
