"""Metrics: what Prometheus reads at /metrics of one service; counts and times only, nothing of a request's content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from ai_factory_runtime.monitoring.capture import Capture
from ai_factory_runtime.serving.endpoint import Answering
from ai_factory_runtime.serving.workers import Workers

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class ServiceMetrics:
    """The metrics of one service, in a registry of its own."""

    def __init__(self, answering: Answering, capture: Capture, workers: Workers) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "ai_factory_requests", "Calls of /invocations.", ["status", "model_version"], registry=self.registry
        )
        self._seconds = Histogram(
            "ai_factory_request_seconds", "From the first byte read to the last byte sent.", ["model_version"],
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self._rows = Counter("ai_factory_rows", "Rows answered.", ["model_version"], registry=self.registry)
        self._children: dict[tuple[int, int], tuple[Any, Any, Any]] = {}
        self.registry.register(_State(answering, capture, workers))
        ProcessCollector(registry=self.registry)

    def observe(self, status: int, version: int, rows: int, seconds: float) -> None:
        """Count one call."""
        children = self._children.get((status, version)) or self._make(status, version)
        children[0].inc()
        children[1].observe(seconds)
        if rows:
            children[2].inc(rows)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The text for Prometheus and its content type, in the format that `accept` asks for."""
        encode, kind = choose_encoder(accept)
        return encode(self.registry), kind

    def _make(self, status: int, version: int) -> tuple[Any, Any, Any]:
        named = str(version)
        made = (self._requests.labels(str(status), named), self._seconds.labels(named), self._rows.labels(named))
        self._children[status, version] = made
        return made


@dataclass(frozen=True, eq=False)
class _State(Collector):
    """What is read when Prometheus asks."""

    answering: Answering
    capture: Capture
    workers: Workers

    def collect(self) -> Iterable[Metric]:
        return list(self._collect())

    def _collect(self) -> Iterator[Metric]:
        endpoint = self.answering.endpoint
        labels = {
            "stage": endpoint.model.stage, "version": str(endpoint.model.version), "digest": endpoint.model.digest,
            "engine": endpoint.acceleration.engine, "features": endpoint.acceleration.features,
        }  # fmt: skip
        info = GaugeMetricFamily("ai_factory_model", "1 for the model that answers.", labels=list(labels))
        info.add_metric(list(labels.values()), 1)
        yield info
        yield GaugeMetricFamily("ai_factory_waiting", "Calls that wait for a thread.", value=self.workers.queued)
        yield GaugeMetricFamily(
            "ai_factory_stuck", "1 where every thread is at a call that takes too long.", value=self.workers.stuck
        )
        yield CounterMetricFamily("ai_factory_captured", "Requests kept for the monitor.", value=self.capture.kept)
        yield CounterMetricFamily(
            "ai_factory_capture_dropped",
            "Requests chosen for the monitor that could not be kept.",
            value=self.capture.dropped,
        )
