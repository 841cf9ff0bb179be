from jaxnext.porting.stages import stage_lengths, summed_up

SHORT = ["conv1.weight", "layer1.0.conv1.weight", "layer1.0.bn1.weight", "layer2.0.conv1.weight"]
LONG = [*SHORT, "layer1.1.conv1.weight", "layer1.1.bn1.weight", "layer1.2.conv1.weight", "layer3.0.conv1.weight"]


def test_stages_of_another_length() -> None:
    longer = {"layer1.1.conv1.weight", "layer1.1.bn1.weight", "layer1.2.conv1.weight", "layer3.0.conv1.weight"}
    assert stage_lengths(SHORT, LONG) == (
        [
            "layer1: expected 1 blocks, found 3 (3 tensors)",
            "layer3: expected 0 blocks, found 1 (1 tensors)",
        ],
        longer,
    )
    lines, names = stage_lengths(LONG, SHORT)
    assert lines[0] == "layer1: expected 3 blocks, found 1 (3 tensors)"
    assert names == longer
    # What is missing in a block that both have is no matter of lengths.
    assert stage_lengths(SHORT, SHORT[:2] + SHORT[3:]) == ([], set())


def test_members_of_a_family_beyond_the_most() -> None:
    names = ["a.0", "b", "a.1", "a.2"]
    lines = {name: f"{name}!" for name in names}
    assert summed_up(names, lines, most=2) == ["a.0!", "a.1!", "a: 1 tensors more, likewise", "b!"]
    assert summed_up(names, lines) == ["a.0!", "a.1!", "a.2!", "b!"]
