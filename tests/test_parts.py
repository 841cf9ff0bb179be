from typing import Any

import pytest
from flat_config import model_config

from jaxnext.engine.network import network
from jaxnext.errors import UsageError
from jaxnext.models.parts import check_part_names, part_names, part_of
from jaxnext.models.summary import variable_shapes
from jaxnext.tree import flatten

CONFIG = model_config(
    stage_sizes=(1, 2),
    widths=(2, 2),
    features=(2, 16),
    stem_features=2,
    groups=1,
    attention="cbam",
    reduction=8,
    head="fc",
    head_widths=(3,),
)


@pytest.fixture(scope="module")
def shapes() -> dict[str, Any]:
    return variable_shapes(network(CONFIG, 2, "float32"))


def test_each_leaf_has_its_part(shapes: dict[str, Any]) -> None:
    leaves: dict[str, set[str]] = {}
    for collection in ("params", "batch_stats"):
        for path in flatten(shapes[collection]):
            leaves.setdefault(part_of(path), set()).add("/".join(path[:2]))
    assert leaves == {
        "stem": {"backbone/stem_conv", "backbone/stem_norm"},
        "stage2": {"backbone/stage2_block1"},
        "stage3": {"backbone/stage3_block1", "backbone/stage3_block2"},
        "attention": {"attention/channel", "attention/spatial_conv"},
        "head": {"head/hidden1", "head/norm1", "head/output"},
    }


def test_the_names_are_in_the_order_of_the_computation(shapes: dict[str, Any]) -> None:
    assert part_names(shapes["params"]) == ("stem", "stage2", "stage3", "attention", "head")
    stages = {f"stage{stage}_block1": {"conv1": {"kernel": 0}} for stage in (10, 9)}
    assert part_names({"head": {"output": {"bias": 0}}, "backbone": stages}) == ("stage9", "stage10", "head")


def test_a_part_that_is_not_there_is_refused(shapes: dict[str, Any]) -> None:
    check_part_names("model.freeze", ("head", "stem"), shapes["params"])
    with pytest.raises(UsageError) as caught:
        check_part_names("model.freeze", ("stem", "stage4"), shapes["params"])
    assert str(caught.value) == (
        "model.freeze: expected parts of this network (stem, stage2, stage3, attention, head), found 'stage4'"
    )
