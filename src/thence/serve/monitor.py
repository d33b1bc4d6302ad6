"""What the server counts of itself, in the text format of Prometheus."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from thence.serve.served import ServedRun


class Monitor:
    """Counts requests and the work of the models.

    Args:
        models: The models that are served.
    """

    def __init__(self, models: Iterable[ServedRun]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "thence_requests", "Requests answered.", ("route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "thence_request_seconds", "Seconds to answer.", ("route",), registry=self._registry
        )
        self._registry.register(_WorkOfModels(list(models)))

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that has been answered."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def to_text(self) -> bytes:
        """Return all counts."""
        return generate_latest(self._registry)


class _WorkOfModels(Collector):
    def __init__(self, models: list[ServedRun]) -> None:
        self._models = models

    def collect(self) -> Iterator[Metric]:
        """Yield how often each model read, and for how many."""
        turns = CounterMetricFamily("thence_model_turns", "Calls of a model.", labels=["model"])
        rows = CounterMetricFamily(
            "thence_model_rows", "Texts read, over all calls.", labels=["model"]
        )
        for served in self._models:
            turns.add_metric([served.name], served.worker.turns_taken)
            rows.add_metric([served.name], served.worker.rows_read)
        yield turns
        yield rows
