"""The state machine that lets a retraining start, or refuses it with a reason, as plain values. No cloud, no Pulumi.

It asks SageMaker what is under way, what ran within the cooldown and what within a day, then decides. Two requests of the same
ten minutes carry the same token, so SageMaker starts one run even where each of them saw none.
AWS: "ListPipelineExecutions", "StartPipelineExecution" (ClientRequestToken), "AWS Step Functions: transforming data with JSONata".
"""

from __future__ import annotations

import hashlib
from typing import Any

HOUR = 3_600_000  # milliseconds
SAME_START = 600_000  # two requests within the same ten minutes are one, whatever each of them saw
RETRY = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 5, "MaxAttempts": 5, "BackoffRate": 2}]
RUNS = "$states.result.PipelineExecutionSummaries"

Json = dict[str, Any]


def door_definition(pipeline_name: str, cooldown_hours: int, max_runs_per_day: int) -> Json:
    """The state machine: look at the runs, refuse with a reason, or start one. Input: `{"reason": "drift" | …}`."""
    under_way = f"$count({RUNS}[PipelineExecutionStatus in ['Executing', 'Stopping']])"
    made = f"$count({RUNS})"
    states = {
        "LookForRunUnderWay": _look(pipeline_name, {}, {"running": f"{{% {under_way} %}}"}, "LookAtCooldown"),
        "LookAtCooldown": _look(pipeline_name, _since(cooldown_hours), {"lately": f"{{% {made} %}}"}, "LookAtDay"),
        "LookAtDay": _look(pipeline_name, _since(24), {"today": f"{{% {made} %}}"}, "Decide"),
        "Decide": {
            "Type": "Choice",
            "Choices": [
                {"Condition": "{% $running > 0 %}", "Next": "RunUnderWay"},
                {"Condition": "{% $states.input.reason = 'drift' and $lately > 0 %}", "Next": "CoolingDown"},
                {"Condition": f"{{% $today >= {max_runs_per_day} %}}", "Next": "EnoughForToday"},
            ],
            "Default": "Start",
        },
        "RunUnderWay": _refuse("a run is under way"),
        "CoolingDown": _refuse(f"a run was made within {cooldown_hours} hours"),
        "EnoughForToday": _refuse(f"{max_runs_per_day} runs were made within 24 hours"),
        "Start": _start(pipeline_name),
    }
    return {"QueryLanguage": "JSONata", "StartAt": "LookForRunUnderWay", "States": states}


def _look(pipeline_name: str, since: Json, keep: Json, then: str) -> Json:
    newest_first = {"SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": 100}
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sagemaker:listPipelineExecutions",
        "Arguments": {"PipelineName": pipeline_name, **newest_first, **since},
        "Assign": keep,
        "Output": "{% $states.input %}",
        "Retry": RETRY,
        "Next": then,
    }


def _since(hours: int) -> Json:
    return {"CreatedAfter": f"{{% $fromMillis($millis() - {hours * HOUR}) %}}"}


def _refuse(why: str) -> Json:
    return {"Type": "Succeed", "Output": {"started": False, "because": why}}


def _start(pipeline_name: str) -> Json:
    token = f"retrain-{hashlib.sha256(pipeline_name.encode()).hexdigest()[:24]}-"
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sagemaker:startPipelineExecution",
        "Arguments": {
            "PipelineName": pipeline_name,
            "PipelineExecutionDescription": "{% 'Started by ' & $states.input.reason %}",
            "ClientRequestToken": f"{{% '{token}' & $string($floor($millis() / {SAME_START})) %}}",
        },
        "Retry": RETRY,
        "End": True,
    }
