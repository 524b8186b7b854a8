"""Gates on how a model behaves: its probabilities, what it rests on, what damage costs, how fast it answers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ai_factory_spec.usecase import Acceptance

from ai_factory_runtime.base.gate_result import GateResult, finite
from ai_factory_runtime.evaluation.explaining import Explained
from ai_factory_runtime.evaluation.latency import Latency
from ai_factory_runtime.evaluation.measured import Measured
from ai_factory_runtime.evaluation.reliability import CalibrationError
from ai_factory_runtime.evaluation.robustness import Damage

CALIBRATION, EXPLAINABILITY, ROBUSTNESS, LATENCY = "calibration", "explainability", "robustness", "latency"
_MOST_NAMED = 5


def judge(measured: Measured, acceptance: Acceptance) -> list[GateResult]:
    """The gates that `acceptance` asks for, in a fixed order."""
    results = []
    if acceptance.calibration is not None:
        results.append(calibration(measured.calibration_error, acceptance.calibration.max_error))
    if acceptance.explainability is not None:
        results.append(explainability(measured.explained, acceptance.explainability.max_share))
    if acceptance.robustness is not None:
        results.append(robustness(measured.damages, acceptance.robustness.max_drop))
    if acceptance.latency is not None:
        results.append(latency(measured.latency, acceptance.latency.p99_ms))
        if acceptance.latency.p99_ms_1000_rows is not None:
            results.append(latency(measured.latency_many, acceptance.latency.p99_ms_1000_rows))
    return results


def calibration(error: CalibrationError | None, max_error: float) -> GateResult:
    """What is said may differ from what happens by so much on average."""
    if error is None or not math.isfinite(error.estimate.value):
        return GateResult(CALIBRATION, False, None, max_error, "the model states no probabilities")
    value = error.estimate.value
    sentence = (
        f"the expected calibration error is {error.estimate}, at most {max_error:g} is allowed; a perfectly calibrated model "
        f"shows {error.by_chance:.2g} on so many rows by chance"
    )
    return GateResult(CALIBRATION, value <= max_error, value, max_error, sentence)


def explainability(explained: Explained, max_share: float) -> GateResult:
    """No feature may carry more than this share of the total permutation importance."""
    share = explained.largest_share
    if not math.isfinite(share.value):
        sentence = "no feature matters: shuffling any of them loses nothing"
        return GateResult(EXPLAINABILITY, False, None, max_share, sentence)
    sentence = (
        f"{explained.features[0].feature!r} carries {share.value:.1%} of the permutation importance "
        f"(95 % interval {share.low:.1%} to {share.high:.1%}), at most {max_share:.0%} is allowed"
    )
    return GateResult(EXPLAINABILITY, share.value <= max_share, share.value, max_share, sentence)


def robustness(damages: Sequence[Damage], max_drop: float) -> GateResult:
    """No damage to one feature may cost more than this share of the gain over the baseline."""
    if not damages or any(math.isnan(d.loss) for d in damages):
        return GateResult(ROBUSTNESS, False, None, max_drop, "there is no gain over the baseline, so none to lose")
    worst = max(damages, key=lambda d: d.loss)
    over = [d for d in damages if d.loss > max_drop]
    named = ", ".join(f"{d.feature!r} {d.kind} {_lost(d)}" for d in sorted(over, key=lambda d: -d.loss)[:_MOST_NAMED])
    if over:
        sentence = f"at most {max_drop:.0%} of the gain over the baseline may be lost; lost with {named}"
    else:
        sentence = f"at most {_lost(worst)} of the gain over the baseline is lost ({worst.feature!r} {worst.kind}), allowed is {max_drop:.0%}"
    return GateResult(ROBUSTNESS, not over, finite(worst.loss), max_drop, sentence)


def latency(measured: Latency, p99_ms: float) -> GateResult:
    """A call must be answered fast enough 99 times in 100."""
    what = "one row takes" if measured.rows == 1 else f"{measured.rows} rows take"
    p99 = measured.p99
    sentence = (
        f"{what} {p99.value:.3g} ms [{p99.low:.3g}, {p99.high:.3g}] at the 99th percentile of {measured.calls} calls, "
        f"at most {p99_ms:g} ms are allowed"
    )
    name = LATENCY if measured.rows == 1 else f"{LATENCY}:{measured.rows}-rows"
    return GateResult(name, p99.value <= p99_ms, p99.value, p99_ms, sentence)


def _lost(damage: Damage) -> str:
    if damage.error:
        return f"(it raised {damage.error})"
    interval = damage.interval
    known = interval is not None and math.isfinite(interval.low)
    return (
        f"{damage.loss:.1%} [{interval.low:.1%}, {interval.high:.1%}]" if interval and known else f"{damage.loss:.1%}"
    )
