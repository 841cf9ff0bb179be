"""What a server counts, in Prometheus' text format; no client can choose the value of a label."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

PATHS = ("/", "/predict", "/healthz", "/metrics", "/openapi.json")
"""That requests are counted by; all else is ``other``."""
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)


class Counters:
    """The counters of one server."""

    CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("jaxnext_requests", "Requests answered", ["path", "status"], registry=registry)
        self._seconds = Histogram(
            "jaxnext_request_seconds",
            "From a request's headers to the end of its answer",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._images = Counter("jaxnext_images", "Images, by what became of them", ["outcome"], registry=registry)
        self._batches = Histogram("jaxnext_batch_images", "Images in a batch", buckets=_IMAGES, registry=registry)
        self._queue = Gauge("jaxnext_queue_images", "Images that wait to be computed", registry=registry)
        for outcome in ("known", "unknown", "unreadable"):
            self._images.labels(outcome)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        known = path if path in PATHS else "other"
        self._requests.labels(known, str(status)).inc()
        self._seconds.labels(known).observe(seconds)

    def image(self, outcome: str) -> None:
        """Count an image: ``known``, ``unknown`` or ``unreadable``."""
        self._images.labels(outcome).inc()

    def batch(self, images: int) -> None:
        """Count a batch."""
        self._batches.observe(images)

    def watch_queue(self, waiting: Callable[[], int]) -> None:
        """Have the length of the queue asked for whenever the counters are shown."""
        self._queue.set_function(waiting)

    def text(self) -> bytes:
        """Return all of them."""
        return generate_latest(self._registry)
