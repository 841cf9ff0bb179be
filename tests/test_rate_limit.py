from jaxnext.inference.serving.rate_limit import RateLimit


def test_twice_the_rate_at_once_and_then_the_rate() -> None:
    limit = RateLimit(2.0)
    assert [limit.wait("10.0.0.1", 0.0) for _ in range(6)] == [None, None, None, None, 1, 1]
    assert limit.wait("10.0.0.2", 0.0) is None
    assert limit.wait("10.0.0.1", 0.4) == 1
    assert limit.wait("10.0.0.1", 0.5) is None
    assert limit.wait("10.0.0.1", 0.6) == 1
    assert [limit.wait("10.0.0.1", 100.0) for _ in range(5)] == [None, None, None, None, 1]


def test_a_slow_rate_says_how_long_to_wait() -> None:
    limit = RateLimit(0.1)
    assert [limit.wait("10.0.0.1", now) for now in (0.0, 1.0, 9.5, 10.0)] == [None, 9, 1, None]


def test_no_limit() -> None:
    limit = RateLimit(None)
    assert {limit.wait("10.0.0.1", 0.0) for _ in range(100)} == {None}


def test_all_addresses_of_a_network_of_ipv6_are_one() -> None:
    limit = RateLimit(0.5)
    found = [
        limit.wait(address, 0.0) for address in ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1", "testclient")
    ]
    assert found == [None, 2, None, None]


def test_those_that_asked_longest_ago_are_forgotten() -> None:
    limit = RateLimit(0.5, most_addresses=2)
    for address in ("a", "b", "c"):
        assert limit.wait(address, 0.0) is None
    assert limit.wait("c", 0.0) == 2
    assert limit.wait("a", 0.0) is None
