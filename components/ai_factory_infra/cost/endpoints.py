"""What endpoints cost: machines by the hour, a shadow's too; serverless by memory and time, and by what is kept warm.

AWS: "Amazon SageMaker AI pricing" (on-demand inference, serverless inference, asynchronous inference).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ai_factory_infra.cost.lines import Inputs, Item, Resource, is_named, machines, of_type
from ai_factory_infra.cost.price_table import PriceTable

ENDPOINT, TARGET = "aws:sagemaker/endpoint:Endpoint", "aws:appautoscaling/target:Target"


def endpoint_configuration(name: str, inputs: Inputs, t: PriceTable, stack: Sequence[Resource]) -> Iterator[Item]:
    """Each variant. One that lets its machines go is counted for the hours it is assumed to be asked in, and says so."""
    variants = [*(inputs.get("productionVariants") or ()), *(inputs.get("shadowProductionVariants") or ())]
    for variant in variants:
        who = f"{name} {variant.get('variantName', '')}".strip()
        if serverless := variant.get("serverlessConfig"):
            yield from _serverless(who, serverless, t)
        elif _goes_to_zero(name, inputs, str(variant.get("variantName")), stack):
            hours = t.assume["async_hours_per_month"]
            yield machines("endpoints", who, variant["instanceType"], 1, hours, t, " asked, else none")
        else:
            count = variant.get("initialInstanceCount") or 0
            yield machines("endpoints", who, variant["instanceType"], count, t.assume["hours_per_month"], t)


def _serverless(who: str, serverless: Inputs, t: PriceTable) -> Iterator[Item]:
    gb, seconds = serverless["memorySizeInMb"] / 1024, t.assume["seconds_per_request"]
    requests, hours = t.assume["requests_per_month"], t.assume["hours_per_month"]
    amount = gb * seconds * requests * t.unit["serverless_gb_second"]
    yield Item("endpoints", who, f"{requests:g} requests of {seconds:g} s in {gb:g} GB", amount)
    if warm := serverless.get("provisionedConcurrency"):
        kept = warm * gb * hours * 3600 * t.unit["serverless_warm_gb_second"]
        yield Item("endpoints", who, f"{warm:g} × {gb:g} GB kept warm × {hours:g} h", kept)


def _goes_to_zero(name: str, inputs: Inputs, variant: str, stack: Sequence[Resource]) -> bool:
    """Whether a scaling target of an endpoint that runs this configuration allows no machine at all."""
    runs = {
        str(i.get("name"))
        for _, i in of_type(stack, ENDPOINT)
        if is_named(str(i.get("endpointConfigName")), name, inputs)
    }
    empty = {str(i.get("resourceId")) for _, i in of_type(stack, TARGET) if i.get("minCapacity") == 0}
    return any(f"endpoint/{endpoint}/variant/{variant}" in empty for endpoint in runs)
