"""Sequential tests: they may be looked at after every request and still raise a false alarm no more often than promised.

A fixed-size test that is repeated until it says yes says yes in the end. These are always valid: under the null hypothesis
the probability that they *ever* reject is at most `level`, however often one looks and whenever one stops (Ville, 1939).

means  the mixture sequential probability ratio test (mSPRT) for the difference of two means, with a normal mixture
       N(0, tau^2) over the difference: Johari, Koomen, Pekelis & Walsh, "Peeking at A/B tests", KDD 2017, and "Always
       valid inference", Operations Research 70 (2022). With V the variance of the difference d of the two means,
       Lambda = sqrt(V / (V + tau^2)) * exp(tau^2 d^2 / (2 V (V + tau^2))); it rejects where Lambda >= 1 / level.
       V is estimated, so the promise holds from MIN_COUNT observations of an arm on (tests/runtime/rollout/test_sequential.py).
rates  whether a rate is above a bound: the likelihood ratio mixed over the rates above the bound with a beta density.
       For every rate up to the bound it is a supermartingale, so the same bound 1 / level holds: Robbins, "Statistical
       methods related to the law of the iterated logarithm", Annals of Mathematical Statistics 41 (1970).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincc, betaln

MIN_COUNT = 100
MIXTURE = 0.1
"""tau as a multiple of the standard deviation of one observation: where the test has the most power."""
TYPICAL_EXCESS = 4.0
"""The mean of the beta mixture as a multiple of the bound."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Independent observations in three numbers: how many, their mean, and the variance of one (divided by count)."""

    count: int = 0
    mean: float = 0.0
    variance: float = 0.0

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Sample:
        """The sample of these values; no value gives an empty one."""
        array = np.asarray(values, dtype=np.float64)
        return cls(array.size, float(array.mean()), float(array.var())) if array.size else cls()


@dataclass(frozen=True, slots=True)
class Difference:
    """Challenger minus champion: the estimate, and the interval that holds the truth at every look with 1 - `level`."""

    value: float
    low: float
    high: float


def difference_of_means(challenger: Sample, champion: Sample, level: float) -> Difference:
    """The difference of two means with its always-valid interval; unbounded below MIN_COUNT observations of either."""
    value = challenger.mean - champion.mean
    total = challenger.count + champion.count
    if min(challenger.count, champion.count) < MIN_COUNT:
        return Difference(value, -math.inf, math.inf)
    spread = (challenger.count * challenger.variance + champion.count * champion.variance) / total
    spread = max(spread, _least_variance(total, value))
    return _around(value, spread * (1 / challenger.count + 1 / champion.count), spread, level)


def mean_of_differences(paired: Sample, level: float) -> Difference:
    """The mean of differences on the same requests with its always-valid interval; unbounded below MIN_COUNT pairs."""
    if paired.count < MIN_COUNT:
        return Difference(paired.mean, -math.inf, math.inf)
    spread = max(paired.variance, _least_variance(paired.count, paired.mean))
    return _around(paired.mean, spread / paired.count, spread, level)


def rate_exceeds(events: int, trials: int, bound: float, level: float) -> bool:
    """Whether `events` of `trials` show a rate above `bound` (0 to 1), with at most `level` false alarms over all looks."""
    return log_evidence_of_excess(events, trials, bound) >= -math.log(level)


def log_evidence_of_excess(events: int, trials: int, bound: float) -> float:
    """The logarithm of the mixed likelihood ratio of "the rate is above `bound`" against "it is `bound`"."""
    if not 0 < bound < 1:  # a bound of 0 is broken by one event, one of 1 by none
        return math.inf if bound <= 0 and events else -math.inf
    a, b = 1.0, max(1.0, 1 / (TYPICAL_EXCESS * bound) - 1)
    above = float(betaincc(events + a, trials - events + b, bound))
    if above <= 0:
        return -math.inf
    mixed = betaln(events + a, trials - events + b) + math.log(above) - betaln(a, b) - math.log(betaincc(a, b, bound))
    return float(mixed) - events * math.log(bound) - (trials - events) * math.log1p(-bound)


def _around(value: float, variance: float, spread: float, level: float) -> Difference:
    """All differences that the mSPRT does not reject, given the variance of the estimate and that of one observation."""
    mixture = MIXTURE**2 * spread
    log_lambda = math.log(1 / level) + 0.5 * math.log((variance + mixture) / variance)
    half = math.sqrt(2 * variance * (variance + mixture) / mixture * log_lambda)
    return Difference(value, value - half, value + half)


def _least_variance(count: int, value: float) -> float:
    """What the variance may be taken for at least: observations that are all alike so far do not make the next one so.

    As if one observation in `count` differed by 1 (right or wrong), or by as much as the means do.
    """
    return max(1.0, value * value) / count * (1 - 1 / count)
