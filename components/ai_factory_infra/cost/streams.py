"""What streams cost: by the hour, by what is written and read, and for records that stay longer than a day.

AWS: "Amazon Kinesis Data Streams pricing", "Amazon Data Firehose pricing".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ai_factory_infra.cost.lines import Inputs, Item, Resource, is_named, of_type
from ai_factory_infra.cost.price_table import PriceTable

FREE_HOURS, LONG_HOURS = 24.0, 168.0  # kept without a price; kept at a lower price from here on
DELIVERY = "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream"
CONSUMER = "aws:lambda/eventSourceMapping:EventSourceMapping"
PUT_KB, DELIVERY_KB = 25, 5  # what one write counts at most; what a delivered record is rounded up to
KB_PER_GB = 1_000_000


def stream(name: str, inputs: Inputs, t: PriceTable, stack: Sequence[Resource]) -> Iterator[Item]:
    """A stream that grows by itself, or shards."""
    on_demand = (inputs.get("streamModeDetails") or {}).get("streamMode") == "ON_DEMAND"
    kept = float(inputs.get("retentionPeriod") or FREE_HOURS)
    yield from _on_demand(name, inputs, kept, t, stack) if on_demand else _shards(name, inputs, kept, t)


def _on_demand(name: str, inputs: Inputs, kept: float, t: PriceTable, stack: Sequence[Resource]) -> Iterator[Item]:
    hours, gb, readers = t.assume["hours_per_month"], t.assume["stream_gb"], _readers(name, inputs, stack)
    yield Item("streams", name, f"on demand, {hours:g} h", hours * t.unit["stream_on_demand_hour"])
    moved = gb * t.unit["stream_on_demand_in_gb"] + readers * gb * t.unit["stream_on_demand_out_gb"]
    yield Item("streams", name, f"{gb:g} GB in, read by {readers}", moved)
    if kept > FREE_HOURS:
        longer = min(kept, LONG_HOURS) - FREE_HOURS
        yield _stored(name, gb * longer / hours, "over a day", t.unit["stream_kept_gb_month"])
    yield from _long(name, kept, t)


def _shards(name: str, inputs: Inputs, kept: float, t: PriceTable) -> Iterator[Item]:
    hours, shards = t.assume["hours_per_month"], float(inputs.get("shardCount") or 1)
    yield Item("streams", name, f"{shards:g} shards × {hours:g} h", shards * hours * t.unit["stream_shard_hour"])
    record = t.assume["stream_record_kb"]
    writes = t.assume["stream_gb"] * KB_PER_GB / record * math.ceil(record / PUT_KB) / 1e6
    yield Item("streams", name, f"{writes:g} million writes", writes * t.unit["stream_put_million"])
    if kept > FREE_HOURS:
        by = f"{shards:g} shards × {hours:g} h kept over a day"
        yield Item("streams", name, by, shards * hours * t.unit["stream_shard_kept_hour"])
    yield from _long(name, kept, t)


def _long(name: str, kept: float, t: PriceTable) -> Iterator[Item]:
    if kept > LONG_HOURS:
        stored = t.assume["stream_gb"] * (kept - LONG_HOURS) / t.assume["hours_per_month"]
        yield _stored(name, stored, "over a week", t.unit["stream_long_gb_month"])


def _stored(name: str, gb: float, how_long: str, price: float) -> Item:
    return Item("streams", name, f"{gb:.3g} GB kept {how_long}", gb * price)


def _readers(name: str, inputs: Inputs, stack: Sequence[Resource]) -> int:
    """Deliveries and consumers of the same stack that read this stream."""
    sources = [
        str((i.get("kinesisSourceConfiguration") or {}).get("kinesisStreamArn")) for _, i in of_type(stack, DELIVERY)
    ]
    sources += [str(i.get("eventSourceArn")) for _, i in of_type(stack, CONSUMER)]
    return sum(is_named(arn, name, inputs) for arn in sources)


def delivery(name: str, _inputs: Inputs, t: PriceTable, _stack: Sequence[Resource]) -> Iterator[Item]:
    """By the gigabyte, each record rounded up to 5 KB."""
    record = t.assume["stream_record_kb"]
    gb = t.assume["stream_gb"] * math.ceil(record / DELIVERY_KB) * DELIVERY_KB / record
    yield Item(
        "streams", name, f"{gb:g} GB, records of {record:g} KB counted as {DELIVERY_KB}s", gb * t.unit["firehose_gb"]
    )
