import dataclasses

import pytest
from benchmarks.suite_parts import Options, parts_of, select
from flat_config import model_config
from suite_cases import CONFIG, OPTIONS

from jaxnext.config.sections import Config
from jaxnext.errors import UsageError

FULL = Options(Config(model=model_config(attention="cbam", head="fc")), "fc_cbam")


def test_names():
    assert [part.name for part in parts_of(FULL)] == [
        "ceilings",
        "train_bf16_16",
        "train_bf16_64",
        "train_bf16_128",
        "train_bf16_256",
        "train_float32_16",
        "inference_bf16_16",
        "inference_bf16_64",
        "inference_bf16_128",
        "inference_bf16_256",
        "inference_float32_16",
        "grouped_conv_1",
        "grouped_conv_2",
        "grouped_conv_3",
        "grouped_conv_4",
        "augment",
        "remat",
    ]


def test_the_convolutions_of_the_net():
    parts = select(parts_of(FULL), ("grouped_conv_1", "grouped_conv_2", "grouped_conv_3", "grouped_conv_4"))
    assert [part.facts["in_net"] for part in parts] == [
        {"128x128x128": 3},
        {"128x128x256 stride 2": 1, "64x64x256": 3},
        {"64x64x512 stride 2": 1, "32x32x512": 5},
        {"32x32x1024 stride 2": 1, "16x16x1024": 2},
    ]
    tasks = [task for part in parts for task in part.tasks]
    assert [(task.shape, task.stride) for task in tasks[:3]] == [
        ((128, 128, 128), 1),
        ((128, 128, 256), 2),
        ((64, 64, 256), 1),
    ]
    assert {(task.options.config.precision, task.options.config.batch_size) for task in tasks} == {("bfloat16", 64)}


def test_precision_batch_and_mode_of_the_model():
    (part,) = select(parts_of(OPTIONS), ("inference_float32_2",))
    assert (part.passes, part.options["precision"], part.options["batch_size"]) == (2, "float32", 2)
    assert [(task.name, task.mode) for task in part.tasks] == [("jaxnext", "inference"), ("torch_compile", "inference")]
    assert {(task.options.config.precision, task.options.config.batch_size) for task in part.tasks} == {("float32", 2)}
    train, infer = select(parts_of(OPTIONS), ("train_bf16_4", "inference_bf16_4"))
    assert train.facts["flops_per_image"] == 3 * infer.facts["flops_per_image"]
    assert train.facts["mode"] == "train"


def test_remat():
    (part,) = select(parts_of(OPTIONS), ("remat",))
    assert [(task.name, task.options.config.model.remat) for task in part.tasks] == [("stored", False), ("remat", True)]


def test_options_tell_networks_apart():
    other = dataclasses.replace(OPTIONS, config=dataclasses.replace(CONFIG, model=FULL.config.model))
    assert parts_of(other)[1].options != parts_of(OPTIONS)[1].options


def test_an_unknown_part_is_refused():
    assert [part.name for part in select(parts_of(OPTIONS), ("remat", "ceilings"))] == ["ceilings", "remat"]
    with pytest.raises(UsageError, match=r"^--part: expected one of ceilings, train_bf16_2, .*, found 'train'$"):
        select(parts_of(OPTIONS), ("train",))
