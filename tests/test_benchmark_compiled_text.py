import pytest
from benchmarks.compiled_text import Kernel, bytes_of, collectives, kernels, part_of, summed

GPU = """HloModule jit_step

%fused (p: f32[8]) -> f32[8] {
  ROOT %inner = f32[8]{0} negate(%p)
}

ENTRY %main.1 (a: bf16[4,8], b: f32[8]) -> f32[8] {
  %a = bf16[4,8]{1,0} parameter(0)
  %b = f32[8]{0} parameter(1)
  %loop_fusion.3 = bf16[4,8]{1,0} fusion(%a), calls=%fused, metadata={op_name="jit(s)/backbone/stage2_block1/relu"}
  %cublas.1 = (bf16[4,8]{1,0}, s8[4194304]{0}) custom-call(%loop_fusion.3, %a), custom_call_target="__cublas$lt$matmul"
  %get-tuple-element.1 = bf16[4,8]{1,0} get-tuple-element(%cublas.1), index=0
  %all-reduce-start.1 = f32[8]{0} all-reduce-start(%b), to_apply=%add
  %all-reduce-done.1 = f32[8]{0} all-reduce-done(%all-reduce-start.1)
  ROOT %copy.2 = f32[8]{0} copy(%all-reduce-done.1)
}
"""
TPU = """HloModule jit_step
ENTRY %main.1 (a: f32[2]) -> f32[2] {
  %a = f32[2]{0} parameter(0)
  %ag = (f32[2]{0}, f32[8]{0}) all-gather-start(%a), dimensions={0}
  ROOT %fusion.7 = f32[2]{0:T(128)S(1)} fusion(%a), backend_config={"estimated_cycles":"1200"}, metadata={op_name="a/b"}
}
"""


def test_kernels_of_a_gpu() -> None:
    select = Kernel("loop_fusion.3", "fusion loop_fusion", 128, 0, "jit(s)/backbone/stage2_block1/relu")
    # The work space of four megabytes is not moved.
    product = Kernel("cublas.1", "__cublas$lt$matmul", 3 * 64, 0, "")
    reduction = Kernel("all-reduce-start.1", "all-reduce-start", 64, 0, "")
    assert kernels(GPU) == [select, product, reduction, Kernel("copy.2", "copy", 64, 0, "")]


def test_estimated_cycles_of_a_tpu() -> None:
    # The result stays on the chip.
    assert kernels(TPU)[1] == Kernel("fusion.7", "fusion fusion", 8, 1200, "a/b")


ON_CHIP = """HloModule jit_step
ENTRY %main.1 (a: f32[4,2]) -> f32[4,2] {
  %a = f32[4,2]{1,0} parameter(0)
  %slice-start.1 = ((f32[4,2]{1,0:T(8,128)}), f32[2,2]{1,0:T(8,128)S(1)}, s32[]{:S(2)}) slice-start(%a)
  %slice-done.1 = f32[2,2]{1,0:T(8,128)S(1)} slice-done(%slice-start.1)
  %joined = f32[4,2]{1,0:T(8,128)S(1)} custom-call(%slice-done.1, %slice-done.1), custom_call_target="ConcatBitcast"
  %fusion.2 = f32[4,2]{1,0:T(8,128)S(1)} fusion(%joined, %a), calls=%fused
  %copy-start.1 = (f32[4,2]{1,0}, f32[4,2]{1,0:S(1)}, u32[]{:S(2)}) copy-start(%fusion.2)
  ROOT %copy-done.1 = f32[4,2]{1,0} copy-done(%copy-start.1)
}
"""


# 32 bytes of the whole, 16 of the slice.
def test_what_lies_on_the_chip_is_not_counted_and_a_copy_once() -> None:
    assert [(kernel.kind, kernel.bytes) for kernel in kernels(ON_CHIP)] == [
        ("slice-start", 16),
        ("fusion fusion", 32),
        ("copy-start", 32),
    ]


def test_collectives() -> None:
    assert collectives(GPU) == {"all-reduce": {"count": 1, "bytes": 32}}
    assert collectives(TPU) == {"all-gather": {"count": 1, "bytes": 20}}
    assert collectives("ENTRY x") == {}


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ("f32[]", 4),
        ("bf16[2,3]{1,0:T(8,128)(2,1)}", 12),
        ("(f32[2], pred[5], u8[0,7])", 13),
        ("token[]", 0),
        ("s8[10]", 10),
    ],
)
def test_bytes_of_a_shape(shape: str, size: int) -> None:
    assert bytes_of(shape) == size
    assert bytes_of(shape, without="s8") == (0 if shape == "s8[10]" else size)


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("jit(train_step)/jvp(Classifier)/backbone/stage2_block3/norm1/add", "stage2"),
        ("jit(train_step)/transpose(jvp(Classifier))/backbone/stem_norm/convert_element_type", "stem"),
        ("jit(s)/Classifier/head/output/dot_general", "head"),
        ("jit(s)/Classifier/attention/channel/mul", "attention"),
        ("jit(train_step)/shard_map/add", "rest"),
        ("", "rest"),
    ],
)
def test_part_of_the_net(source: str, part: str) -> None:
    assert part_of(source) == part


def test_sums_have_the_most_expensive_first() -> None:
    found = [
        Kernel("a", "x", 10, 0, ""),
        Kernel("b", "y", 30, 0, ""),
        Kernel("c", "x", 5, 0, ""),
        Kernel("d", "z", 1, 9, ""),
    ]
    assert list(summed(found, lambda kernel: kernel.kind)) == ["z", "y", "x"]
    assert summed(found, lambda kernel: kernel.kind, most=3)["x"] == {"kernels": 2, "bytes": 15, "cycles": 0}
    assert list(summed(found, lambda kernel: kernel.kind, most=1)) == ["z"]
