"""Drift metrics: what a monitoring job says to CloudWatch, as shell statements; no Pulumi, and nothing but Python's own library.

Each metric is one line in the embedded metric format, which the job's log turns into the metric: the container has no network.

- `drift`: 1 where anything moved, else 0.
- `prediction_shift`: how far the predictions moved, as a multiple of what the use case allows for a window of that size (the
  largest population stability index over its limit, among the outputs of all rows that were looked at). Above 1 they drifted.
  Absent where no row was answered, or the window is too small to judge.
"""

from __future__ import annotations

DRIFT, PREDICTION_SHIFT = "drift", "prediction_shift"

# Reads the reports that `monitor` wrote in this job: an image holds none. The same ratio as the report's own severity.
_MEASURE = (
    "import glob, json;",
    'found = [json.load(open(f)) for f in glob.glob("artifacts/reports/**/drift.json", recursive=True)];',
    'every = [f for d in found if not d["too_small"] for c in d["predictions"] for f in c["findings"]];',
    'print(max((f["value"] / f["limit"] if f["limit"] else 2 * (f["value"] > 0) for f in every), default=""))',
)


def measure() -> tuple[str, ...]:
    """Statements that put the shift of the predictions into `$shift`: a number, or nothing where there is none."""
    first, *middle, last = _MEASURE
    return (f"shift=$(python -c '{first}", *middle, f"{last}');")


def publish(project: str, stage: str, namespace: str) -> tuple[str, ...]:
    """Statements that say `$drift`, and `$shift` where there is one."""
    head = f'{{"_aws":{{"Timestamp":%s000,"CloudWatchMetrics":[{{"Namespace":"{namespace}","Dimensions":[["project","stage"]],'
    tail = f'"Metrics":[{{"Name":"%s"}}]}}]}},"project":"{project}","stage":"{stage}","%s":%s}}'
    return (
        f"head='{head}';",
        f"tail='{tail}';",
        'tell() { printf "$head$tail\\n" "$(date +%s)" "$1" "$1" "$2"; };',
        f'tell {DRIFT} "$drift";',
        f'if [ -n "$shift" ]; then tell {PREDICTION_SHIFT} "$shift"; fi;',
    )
