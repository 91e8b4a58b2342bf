"""What the server counts, in Prometheus' form.  No prompt, key or client is a label."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from aipc.generate import Finished, Text
from aipc.serve.requests import Saying

if TYPE_CHECKING:
    from aipc.serve.pool.status import Status

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_FIRST_TOKEN = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_TOKEN = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class Metrics:
    """One server's; ``statuses`` is asked whenever somebody reads."""

    def __init__(self, statuses: Callable[[], Sequence[Status]]) -> None:
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

    def answer(self) -> AnswerMeter:
        return AnswerMeter(self)

    def read(self) -> bytes:
        return generate_latest(self._registry)


class AnswerMeter:
    """Times one answer's tokens, beginning now."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._latest = time.perf_counter()
        self._has_begun = False

    def note(self, saying: Saying) -> None:
        if isinstance(saying, Text) and saying.tokens:
            self._time(len(saying.tokens))
        elif isinstance(saying, Finished):
            usage = saying.usage
            self._metrics.tokens.labels("prompt").inc(usage.prompt_tokens)
            self._metrics.tokens.labels("completion").inc(usage.completion_tokens)

    def _time(self, tokens: int) -> None:
        now = time.perf_counter()
        if self._has_begun:
            for _ in range(tokens):
                self._metrics.token.observe((now - self._latest) / tokens)
        else:
            self._metrics.first_token.observe(now - self._latest)
        self._has_begun, self._latest = True, now


class _Models(Collector):
    """What the pool knows of each loaded model, read when it is asked for."""

    def __init__(self, statuses: Callable[[], Sequence[Status]]) -> None:
        self._statuses = statuses

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand, so that making the registry asks nothing of the pool."""
        return ()

    def collect(self) -> Iterable[Metric]:
        statuses = self._statuses()
        labels = ("model", "device")
        for kind, name, help_, value in _MEASURES:
            family = kind(name, help_, labels=labels)
            for status in statuses:
                family.add_metric((status.model, status.device), value(status))
            yield family


def _is_ready(status: Status) -> float:
    return float(status.state == "ready")


_MEASURES: tuple[tuple[Any, str, str, Callable[[Status], float]], ...] = (
    (GaugeMetricFamily, "aipc_model_ready", "1: it has produced tokens.", _is_ready),
    (GaugeMetricFamily, "aipc_waiting", "Requests that wait.", lambda one: one.waiting),
    (GaugeMetricFamily, "aipc_running", "Answers under way.", lambda one: one.running),
    (
        GaugeMetricFamily,
        "aipc_memory_bytes",
        "Memory of the worker.",
        lambda one: one.memory_bytes or 0,
    ),
    (CounterMetricFamily, "aipc_worker_restarts", "Workers begun anew.", lambda one: one.restarts),
    (CounterMetricFamily, "aipc_model_tokens", "Tokens produced.", lambda one: one.tokens),
)
