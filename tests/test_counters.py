from jaxnext.inference.serving.counters import Counters


def test_what_prometheus_is_told() -> None:
    counters = Counters()
    counters.request("/predict", 200, 0.03)
    counters.request("/predict", 429, 0.001)
    counters.request("/../etc/passwd", 404, 0.001)
    counters.request("/other", 404, 0.001)
    counters.image("known")
    counters.image("unreadable")
    counters.batch(3)
    counters.watch_queue(lambda: 7)
    lines = counters.text().decode().splitlines()
    for line in (
        'jaxnext_requests_total{path="/predict",status="200"} 1.0',
        'jaxnext_requests_total{path="/predict",status="429"} 1.0',
        'jaxnext_requests_total{path="other",status="404"} 2.0',
        'jaxnext_request_seconds_bucket{le="0.025",path="/predict"} 1.0',
        'jaxnext_request_seconds_bucket{le="0.05",path="/predict"} 2.0',
        'jaxnext_images_total{outcome="known"} 1.0',
        'jaxnext_images_total{outcome="unknown"} 0.0',
        'jaxnext_images_total{outcome="unreadable"} 1.0',
        'jaxnext_batch_images_bucket{le="2.0"} 0.0',
        'jaxnext_batch_images_bucket{le="4.0"} 1.0',
        "jaxnext_queue_images 7.0",
    ):
        assert line in lines
    # What a client sends is in no line.
    assert not any("passwd" in line for line in lines)
    assert counters.CONTENT_TYPE == "text/plain; version=0.0.4; charset=utf-8"


def test_two_servers_do_not_count_together() -> None:
    one, other = Counters(), Counters()
    one.image("known")
    assert b'jaxnext_images_total{outcome="known"} 0.0' in other.text()
