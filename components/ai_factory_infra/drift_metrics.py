"""Drift metrics: what a monitoring job says to CloudWatch, as shell statements; no Pulumi, and nothing but Python's own library.

Each metric is one line in the embedded metric format, which the job's log turns into the metric: the container has no network.

- `drift`: 1 where anything moved that training answers, else 0. Rows or requests that break the data contract ask for repair,
  and hold back what else moved in the same report: a retraining that listens for this metric would learn the damage.
- `schema_break`: how many rows or requests break the data contract, as a multiple of what may; above 1 it is drift.
- `prediction_shift`: how far the predictions moved, as a multiple of what the use case allows for a window of that size (the
  largest population stability index over its limit, among the outputs of all rows that were looked at). Above 1 they drifted.
  Absent where no row was answered, or the window is too small to judge.
"""

from __future__ import annotations

DRIFT, PREDICTION_SHIFT, SCHEMA_BREAK = "drift", "prediction_shift", "schema_break"

# Reads the reports that `monitor` wrote in this job: an image holds none. The same ratios as the report's own severity.
_MEASURE = (
    "import glob, json;",
    'found = [json.load(open(f)) for f in glob.glob("artifacts/reports/**/drift.json", recursive=True)];',
    'every = [f for d in found if not d["too_small"] for c in d["predictions"] for f in c["findings"]];',
    'shift = max((f["value"] / f["limit"] if f["limit"] else 2 * (f["value"] > 0) for f in every), default="");',
    'schema = [d.get("schema") or {"severity": -1, "moved": False} for d in found];',
    'worst = max((s["severity"] for s in schema), default=-1);',
    'held = [s["moved"] or d.get("kinds") == [] for d, s in zip(found, schema)];',
    'print("shift=%s; schema=%s; held=%d" % (shift, "" if worst < 0 else worst, bool(held) and all(held)))',
)


def measure() -> tuple[str, ...]:
    """Statements that put numbers into `$shift` and `$schema`, nothing where there is none, and correct `$drift`.

    It stays 1 only where some report found drift and no broken schema.
    """
    first, *middle, last = _MEASURE
    return (
        f"said=$(python -c '{first}",
        *middle,
        f"{last}');",
        'eval "$said"; if [ "$held" = 1 ]; then drift=0; fi;',
    )


def publish(project: str, stage: str, namespace: str) -> tuple[str, ...]:
    """Statements that say `$drift`, and `$shift` and `$schema` where there is one."""
    head = f'{{"_aws":{{"Timestamp":%s000,"CloudWatchMetrics":[{{"Namespace":"{namespace}","Dimensions":[["project","stage"]],'
    tail = f'"Metrics":[{{"Name":"%s"}}]}}]}},"project":"{project}","stage":"{stage}","%s":%s}}'
    return (
        f"head='{head}';",
        f"tail='{tail}';",
        'tell() { printf "$head$tail\\n" "$(date +%s)" "$1" "$1" "$2"; };',
        f'tell {DRIFT} "$drift";',
        f'if [ -n "$shift" ]; then tell {PREDICTION_SHIFT} "$shift"; fi;',
        f'if [ -n "$schema" ]; then tell {SCHEMA_BREAK} "$schema"; fi;',
    )
