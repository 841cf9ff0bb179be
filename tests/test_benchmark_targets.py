import pytest
from benchmarks import targets

from jaxnext.errors import JaxnextError, UsageError


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("v5e:2x2", "TPU v5e"),
        ("v5p:2x2x1", "TPU v5p"),
        ("h100", "H100 SXM"),
        ("h100:8", "H100 SXM"),
        ("h200", "H200 SXM"),
    ],
)
def test_chips(target: str, name: str) -> None:
    assert targets.chip_of(target).name == name


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("h300", "one of v5e, v5p, v6e, h100, h200, a100"),
        ("v5e", "v5e:2x2, the chips along each axis"),
        ("v5e:4", "v5e:2x2, the chips along each axis"),
        ("h100:0", "h100 or h100:8"),
        ("h100:", "h100 or h100:8"),
        ("a100:2x2", "a100 or a100:8"),
    ],
)
def test_mistakes(target: str, expected: str) -> None:
    with pytest.raises(UsageError) as error:
        targets.chip_of(target)
    assert str(error.value) == f"--target: expected {expected}, found {target!r}"


@pytest.mark.parametrize(
    ("target", "package", "needs"), [("v5e:2x2", "tpu", "TPU"), ("h100", "cuda13", "GPU and no driver")]
)
def test_without_its_compiler_a_target_names_the_package(
    target: str, package: str, needs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise RuntimeError("no plugin\nand more")

    monkeypatch.setattr(targets.topologies, "get_topology_desc", missing)
    monkeypatch.setattr(targets.jax, "__version__", "0.10.2")
    with pytest.raises(JaxnextError) as error:
        targets.devices(target)
    assert str(error.value) == (
        f"--target {target}: its compiler cannot be asked (no plugin); it comes with pip install "
        f"'jax[{package}]==0.10.2', which needs no {needs}"
    )
