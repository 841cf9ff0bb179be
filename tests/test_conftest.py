import pytest


def test_groups_of_tests_are_kept_together(request: pytest.FixtureRequest) -> None:
    """pytest-xdist finds a test's group behind an @, and without it hands out each test by itself, saying nothing."""
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("without --dist loadgroup")
    assert request.node.nodeid.endswith("@test_conftest")
