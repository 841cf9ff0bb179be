import copy

import pytest
from benchmarks.suite_table import best, sum_over_net, table
from suite_cases import HERE


def model_record(mode: str, batch_size: int, precision: str = "bfloat16", **rates: float) -> dict:
    return {
        "date": "2026-11-23T05:00:00+00:00",
        "options": {"config": "tiny", "image_size": 32, "batch_size": batch_size, "precision": precision},
        "mode": mode,
        "flops_per_image": 2e9,
        "left_out": {},
        "results": {
            name: {"images_per_second": rate, "compile_seconds": 12.34, "peak_memory_bytes": 1.5e9, "samples": [1.0]}
            for name, rate in rates.items()
        },
    }


def shape(native: float | None, packed32: float, torch: float) -> dict:
    def functions(factor: float) -> dict:
        times = {"native": native, "packed32": packed32, "rule": native, "torch_contiguous": torch}
        return {name: None if time is None else {"median_seconds": factor * time} for name, time in times.items()}

    return {"forward": functions(0.25), "forward_backward": functions(1.0), "left_out": {}}


def convolutions(in_net: dict[str, int], **results: dict) -> dict:
    return {
        "date": "2026-11-24T05:00:00+00:00",
        "options": {"model": {"widths": [128, 256]}},
        "in_net": in_net,
        "left_out": {},
        "results": results,
    }


PARTS = {
    "ceilings": {
        "date": "2026-11-22T05:00:00+00:00",
        "left_out": {},
        "results": {
            "ceilings": {
                "bfloat16": {
                    "jax_matmul_flops_per_second": 8e12,
                    "torch_matmul_flops_per_second": 7e12,
                    "copy_bytes_per_second": 4e12,
                },
                "float32": {
                    "jax_matmul_flops_per_second": 5e11,
                    "torch_matmul_flops_per_second": 4e11,
                    "copy_bytes_per_second": 3e12,
                },
            }
        },
    },
    "train_bf16_2": model_record("train", 2, jaxnext=1000, torch_compile=500, timm_compile=2000),
    "train_bf16_4": model_record("train", 4, jaxnext=900, torch_compile=800),
    "train_float32_2": model_record("train", 2, "float32", jaxnext=100, torch_compile=5000),
    "inference_bf16_2": model_record("inference", 2, torch_compile=6000),
    "grouped_conv_1": convolutions({"8x8x128": 3}, **{"8x8x128": shape(0.004, 0.001, 0.002)}),
    "grouped_conv_2": convolutions(
        {"8x8x256 stride 2": 1, "4x4x256": 2},
        **{"8x8x256 stride 2": shape(0.002, 0.006, 0.002), "4x4x256": shape(0.003, 0.0005, 0.001)},
    ),
}
RESULT = {"command": "suite", "parts": PARTS, **HERE}


def lines_of(result: dict) -> list[str]:
    return [" ".join(line.split()) for line in table(result).splitlines()]


def test_where_and_when():
    assert lines_of(RESULT)[:2] == [
        "a GPU, driver 1.2, a CPU, 4 cores; 2026-11-22 to 2026-11-24",
        "jax 0.10.2, torch 2.9",
    ]
    assert table({"command": "suite", "parts": {}}) == "nothing is measured yet"


def test_ceilings():
    lines = lines_of(RESULT)
    assert "matrix product in bfloat16: 8.0 TFLOP/s in jax, 7.0 in torch" in lines
    assert "matrix product in float32: 0.5 TFLOP/s in jax, 0.4 in torch" in lines
    assert "copy: 4000 GB/s read and written" in lines


def test_the_model_s_rows_have_speed_ratios_and_shares_of_the_peak():
    lines = lines_of(RESULT)
    assert "bfloat16, batch 2, jaxnext 1000.0 25.0% 1.50 12.3" in lines
    assert "bfloat16, batch 2, torch_compile 500.0 2.00 12.5% 1.50 12.3" in lines
    # Of another network: no share.
    assert "bfloat16, batch 2, timm_compile 2000.0 0.50 1.50 12.3" in lines
    assert "float32, batch 2, torch_compile 5000.0 0.02 2000.0% 1.50 12.3" in lines
    assert "bfloat16, batch 2, torch_compile 6000.0 150.0% 1.50 12.3" in lines
    assert lines.count("timm's network is resnext50_32x4d with its linear head, without attention") == 1


def test_the_best_batch_of_each():
    assert best(PARTS, "train", "jaxnext") == (1000, 2)
    assert best(PARTS, "train", "torch_compile") == (800, 4)
    assert best(PARTS, "inference", "jaxnext") is None
    found = [line for line in lines_of(RESULT) if line.startswith("bfloat16, best batch each")]
    assert found == [
        "bfloat16, best batch each: 1000.0 images/s (batch 2) is 1.25 times torch_compile's 800.0 (batch 4)",
        "bfloat16, best batch each: 1000.0 images/s (batch 2) is 0.50 times timm_compile's 2000.0 (batch 2)",
    ]


@pytest.mark.parametrize(
    ("names", "expected"),
    # 3 of the first stage, then 1 and 2 of the second.
    [
        (None, 3 * 0.001 + 0.002 + 2 * 0.0005),
        (("native",), 3 * 0.004 + 0.002 + 2 * 0.003),
        (("torch_contiguous", "torch_channels_last"), 3 * 0.002 + 0.002 + 2 * 0.001),
    ],
    ids=["every formulation", "native", "torch"],
)
def test_the_sum_over_the_net(names, expected):
    assert sum_over_net(PARTS, "forward_backward", names) == pytest.approx(expected, rel=1e-12)


def test_the_sum_needs_every_stage_and_every_shape():
    assert sum_over_net({"grouped_conv_1": PARTS["grouped_conv_1"]}, "forward", None) is None
    parts = copy.deepcopy(PARTS)
    parts["grouped_conv_2"]["results"]["4x4x256"]["forward"]["native"] = None
    assert sum_over_net(parts, "forward", ("native",)) is None
    assert sum_over_net(parts, "forward_backward", ("native",)) is not None
    del parts["grouped_conv_2"]["results"]["4x4x256"]
    assert sum_over_net(parts, "forward_backward", ("native",)) is None


def test_the_convolutions_rows_and_ratios():
    lines = lines_of(RESULT)
    assert "8x8x128 3 forward_backward 4.00 1.00 4.00 2.00 packed32" in lines
    assert "8x8x256 stride 2 1 forward 0.50 0.50 1.00 0.50 native" in lines
    assert (
        "sum over the net, forward_backward: the best ones 6.00 ms; native 20.00 (3.33 times), the rule's 20.00 "
        "(3.33 times), PyTorch's 10.00 (1.67 times)"
    ) in lines


def test_the_rule_is_no_formulation_of_its_own():
    parts = copy.deepcopy(PARTS)
    for record in (parts["grouped_conv_1"], parts["grouped_conv_2"]):
        for found in record["results"].values():
            found["forward"]["rule"] = {"median_seconds": 1e-5}
    assert sum_over_net(parts, "forward", None) == sum_over_net(PARTS, "forward", None)
    assert sum_over_net(parts, "forward", ("rule",)) == pytest.approx(6e-5)


def test_a_formulation_that_is_missing():
    parts = copy.deepcopy(PARTS)
    parts["grouped_conv_1"]["results"]["8x8x128"] = shape(None, 0.001, 0.002)
    lines = lines_of(RESULT | {"parts": parts})
    assert "8x8x128 3 forward_backward - 1.00 - 2.00 packed32" in lines
    assert any("native -, the rule's -, PyTorch's 10.00 (1.67 times)" in line for line in lines)


def test_augmentation_and_remat():
    augment = model_record("", 2, augment_and_normalize=30000, normalize=90000)
    remat = model_record("", 2, stored=1000, remat=800)
    for record in remat["results"].values():
        record["compiled_memory_bytes"] = 1.25e9
    remat["results"]["stored"] |= {"median_seconds": 0.002}
    remat["results"]["remat"] |= {"median_seconds": 0.0025, "peak_memory_bytes": 6e8}
    lines = lines_of(RESULT | {"parts": {"augment": augment, "remat": remat}})
    assert "augment_and_normalize, batch 2 30000 1.50 12.3" in lines
    assert "computed again (remat), batch 2 800.0 0.60 1.25 12.3" in lines
    assert lines[-1] == "remat: 1.25 times the time, 0.40 times the memory"


def test_what_was_left_out_is_said():
    parts = copy.deepcopy(PARTS)
    parts["train_bf16_4"]["left_out"] = {"torch_channels_last": "out of memory"}
    parts["grouped_conv_1"]["results"]["8x8x128"]["left_out"] = {"lanes forward": "too slow"}
    parts["remat"] = model_record("", 2) | {"left_out": {"stored": "lost"}}
    assert lines_of(RESULT | {"parts": parts})[-3:] == [
        "train_bf16_4, torch_channels_last: left out, out of memory",
        "grouped_conv_1, 8x8x128, lanes forward: left out, too slow",
        "remat, stored: left out, lost",
    ]
