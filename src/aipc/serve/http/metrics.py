"""The server's counters and histograms, for Prometheus; no label has a prompt, key or client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from aipc.generate import Finished, Text
from aipc.pool.worker.messages import ServerEvent

if TYPE_CHECKING:
    from aipc.pool.status import ModelStatus

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_FIRST_TOKEN = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_TOKEN = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

_MEASURES: tuple[tuple[Any, str, str, Callable[[ModelStatus], float]], ...] = (
    (
        GaugeMetricFamily,
        "aipc_model_ready",
        "1: it has produced tokens.",
        lambda one: float(one.state == "ready"),
    ),
    (GaugeMetricFamily, "aipc_waiting", "Requests that wait.", lambda one: one.waiting),
    (GaugeMetricFamily, "aipc_running", "Answers under way.", lambda one: one.running),
    (
        GaugeMetricFamily,
        "aipc_background",
        "Those of them that are of batches, and give way to others.",
        lambda one: one.background,
    ),
    (
        GaugeMetricFamily,
        "aipc_memory_bytes",
        "Memory of the worker.",
        lambda one: one.memory_bytes or 0,
    ),
    (
        CounterMetricFamily,
        "aipc_worker_restarts",
        "Loads after the first: after a death, an idle unload or an eviction.",
        lambda one: one.restarts,
    ),
    (CounterMetricFamily, "aipc_model_tokens", "Tokens produced.", lambda one: one.tokens),
)


class Metrics:
    """Of one server; ``statuses`` is called at each `read`."""

    def __init__(self, statuses: Callable[[], Sequence[ModelStatus]]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Models(statuses))
        self.requests = Counter(
            "aipc_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self.tokens = Counter("aipc_tokens", "Tokens.", ("kind",), registry=self._registry)
        self.first_token = Histogram(
            "aipc_first_token_seconds",
            "From the request, waits included, to the first token.",
            buckets=_FIRST_TOKEN,
            registry=self._registry,
        )
        self.token = Histogram(
            "aipc_token_seconds",
            "From one token to the next.",
            buckets=_TOKEN,
            registry=self._registry,
        )

    def start_answer(self) -> AnswerMeter:
        return AnswerMeter(self)

    def read(self) -> bytes:
        return generate_latest(self._registry)


class AnswerMeter:
    """Times one answer's tokens, beginning now."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._latest = time.perf_counter()
        self._has_started = False

    def note(self, event: ServerEvent) -> None:
        if isinstance(event, Text) and event.tokens:
            now, tokens = time.perf_counter(), len(event.tokens)
            if self._has_started:
                for _ in range(tokens):
                    self._metrics.token.observe((now - self._latest) / tokens)
            else:
                self._metrics.first_token.observe(now - self._latest)
            self._has_started, self._latest = True, now
        elif isinstance(event, Finished):
            self._metrics.tokens.labels("prompt").inc(event.usage.prompt_tokens)
            self._metrics.tokens.labels("completion").inc(event.usage.completion_tokens)


class _Models(Collector):
    """The pool's status of each model, collected at each read."""

    def __init__(self, statuses: Callable[[], Sequence[ModelStatus]]) -> None:
        self._statuses = statuses

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering the collector does not call the pool."""
        return ()

    def collect(self) -> Iterable[Metric]:
        statuses = self._statuses()
        labels = ("model", "device")
        for kind, name, help_, value in _MEASURES:
            family = kind(name, help_, labels=labels)
            for status in statuses:
                family.add_metric((status.model, status.device), value(status))
            yield family
