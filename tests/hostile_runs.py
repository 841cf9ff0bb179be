"""Hostile checkpoints, configs and other files of a run; see ``test_hostile_input``."""

import json
from itertools import pairwise

from hostile_input import (
    LAST,
    Case,
    bare_folder,
    calibration,
    changed,
    checkpoint,
    config,
    corrupt_table,
    every,
    file,
    meta,
    model,
    nothing,
    resumed,
    run,
    sorted_table,
    without,
)

BOMB = "epochs:\n  a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"  {after}: &{after} [{', '.join([f'*{before}'] * 10)}]\n" for before, after in pairwise("abcdefghij")
)
"""A list of ten lists of ten lists, and so on, ten deep."""
NUMBERS = ("epoch", "learning_rate", "images_per_second", "data_wait_fraction", "seconds")
RECORD = json.dumps(dict.fromkeys((*NUMBERS, "train_loss", "train_accuracy", "val_loss", "val_accuracy"), 1)) + "\n"

CASES = {
    "checkpoint none": Case(
        bare_folder("run"),
        model,
        ("{here}/run: expected the folder of a run or of a ported checkpoint, found no checkpoints/ in it"),
    ),
    "checkpoint missing": Case(
        nothing,
        model,
        ("{here}/run: expected the folder of a run or of a ported checkpoint, found no checkpoints/ in it"),
    ),
    "checkpoint file": Case(
        file("run", b""),
        model,
        ("{here}/run: expected the folder of a run or of a ported checkpoint, found no checkpoints/ in it"),
    ),
    "checkpoint foreign": Case(
        file("run/checkpoints/last/7/model.safetensors", b"x"),
        model,
        (
            '{here}/run/checkpoints/last/7: the checkpoint cannot be read (Item "meta" was not found in '
            "the checkpoint. Available items: [])"
        ),
    ),
    "checkpoint empty step": Case(
        bare_folder(LAST),
        model,
        (
            '{here}/run/checkpoints/last/7: the checkpoint cannot be read (Item "meta" was not found in '
            "the checkpoint. Available items: [])"
        ),
    ),
    "checkpoint no meta": Case(
        without(f"{LAST}/meta"),
        model,
        (
            '{here}/run/checkpoints/last/7: the checkpoint cannot be read (Item "meta" was not found in '
            "the checkpoint. Available items: ..."
        ),
    ),
    "checkpoint no model": Case(
        without(f"{LAST}/model"),
        model,
        (
            '{here}/run/checkpoints/last/7: the checkpoint cannot be read (Item "model" was not found in '
            "the checkpoint. Available items: ..."
        ),
    ),
    "checkpoint no digests": Case(
        without(f"{LAST}/digests"),
        model,
        ("{here}/run/checkpoints/last/7: the checkpoint cannot be read (expected its digests, found none)"),
    ),
    "checkpoint no optimizer": Case(
        without(f"{LAST}/optimizer"),
        resumed,
        (
            '{here}/run/checkpoints/last/7: the checkpoint cannot be read (Item "optimizer" was not '
            "found in the checkpoint. Available items: ..."
        ),
    ),
    "checkpoint no progress": Case(
        without(f"{LAST}/progress"),
        resumed,
        (
            '{here}/run/checkpoints/last/7: the checkpoint cannot be read (Item "progress" was not found '
            "in the checkpoint. Available items: ..."
        ),
    ),
    "checkpoint newer": Case(
        meta(lambda m: m | {"format": 99}),
        model,
        (
            "{here}/run/checkpoints/last/7: the checkpoint cannot be read (expected checkpoint format 4 "
            "or an earlier one, found 99)"
        ),
    ),
    "checkpoint meta list": Case(
        meta(lambda m: [m]),
        model,
        (
            "{here}/run/checkpoints/last/7: the checkpoint cannot be read (expected what it says of its "
            "model, found \"[{'format': 4, 'config': 'seed: 0\\\\nepochs: 9\\\\nbatch_size: 16\\\\nprecision: "
            'float32")'
        ),
    ),
    "checkpoint meta empty": Case(
        meta(lambda m: {}),
        model,
        (
            "{here}/run/checkpoints/last/7: the checkpoint cannot be read (expected checkpoint format 4 "
            "or an earlier one, found None)"
        ),
    ),
    "checkpoint meta config bad": Case(
        meta(lambda m: m | {"config": "a: ["}),
        model,
        (
            "{here}/run/checkpoints/last/7: the checkpoint cannot be read (expected the node content, "
            "but found '<stream end>' (line 1, column 5))"
        ),
    ),
    "checkpoint meta config tag": Case(
        meta(lambda m: m | {"config": "!!python/object/apply:os.system [id]"}),
        model,
        (
            "{here}/run/checkpoints/last/7: the checkpoint cannot be read (could not determine a "
            "constructor for the tag 'tag:yaml.org,2002:python/object/apply:os.system' (line 1, column "
            "1))"
        ),
    ),
    "checkpoint meta json broken": Case(
        every(checkpoint, changed(f"{LAST}/meta/metadata", lambda b: b[:-10])),
        model,
        ("{here}/run/checkpoints/last/7: the checkpoint cannot be read (Expecting ',' delimiter: line 1 column..."),
    ),
    "checkpoint meta deep": Case(
        every(checkpoint, changed(f"{LAST}/meta/metadata", lambda b: b"[" * 100000)),
        model,
        (
            "{here}/run/checkpoints/last/7: the checkpoint cannot be read (maximum recursion depth "
            "exceeded while decoding a JSON array from a unicode string)"
        ),
    ),
    "checkpoint digests broken": Case(
        every(checkpoint, changed(f"{LAST}/digests/metadata", lambda b: b"[]")),
        model,
        ("{here}/run/checkpoints/last/7: the checkpoint cannot be read (expected digests by name, found '[]')"),
    ),
    "checkpoint manifest cut": Case(
        every(checkpoint, changed(f"{LAST}/model/manifest.ocdbt", lambda b: b[:20])),
        model,
        "{here}/run/checkpoints/last/7: the checkpoint cannot be read (DATA_LOSS: ...",
    ),
    "checkpoint _METADATA": Case(
        every(checkpoint, changed(f"{LAST}/model/_METADATA", lambda b: b"{}")),
        model,
        "{here}/run/checkpoints/last/7: the checkpoint cannot be read (tree_metadata)",
    ),
    "checkpoint classes int": Case(
        meta(lambda m: m | {"classes": 7}),
        model,
        "{here}/run/checkpoints/last/7: the checkpoint cannot be read ('int' object is not iterable)",
    ),
    "config empty list": Case(
        file("c.yaml", "[]"), config, "{here}/c.yaml: expected settings written as key: value, found []"
    ),
    "config bomb value": Case(
        file(
            "c.yaml",
            "epochs:\n  z: &a [x,x,x,x,x,x,x,x,x,x]\n"
            + "".join(
                f"  {chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(9)
            ).replace("&a ", "&a "),
        ),
        config,
        "{here}/c.yaml: not YAML: its aliases stand for more than 100,000 values",
    ),
    "config cycle top": Case(
        file("c.yaml", "&a\nmodel: *a\n"), config, "{here}/c.yaml: not YAML: an anchor that contains itself (line 1)"
    ),
    "config tag object": Case(
        file("c.yaml", "epochs: !!python/object/apply:os.system [id]\n"),
        config,
        (
            "{here}/c.yaml: not YAML: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/object/apply:os.system' (line 1, column 9)"
        ),
    ),
    "config dup key": Case(
        file("c.yaml", "epochs: 1\nepochs: 2\n"),
        config,
        "{here}/c.yaml: not YAML: the key epochs is given twice (line 2, column 1)",
    ),
    "config huge int": Case(
        file("c.yaml", "epochs: " + "9" * 5000 + "\n"),
        config,
        (
            "{here}/c.yaml: not YAML: Exceeds the limit (4300 digits) for integer string conversion: "
            "value has 5000 digits; use sys.set_int_max_str_digits() to increase the limit"
        ),
    ),
    "config big int": Case(
        file("c.yaml", "epochs: 1" + "0" * 300 + "\n"),
        config,
        (
            "{here}/c.yaml: epochs: expected a whole number of at most 18 digits, found "
            "10000000000000000000000000000000000000000000000000000000000000000000000000000..."
        ),
    ),
    "config seed big": Case(
        file("c.yaml", "seed: 1" + "0" * 40 + "\n"),
        config,
        (
            "{here}/c.yaml: seed: expected a whole number of at most 18 digits, found "
            "10000000000000000000000000000000000000000"
        ),
    ),
    "config seed neg": Case(
        file("c.yaml", "seed: -1\n"),
        config,
        "{here}/c.yaml: seed: expected a whole number from 0 to 4294967295, found -1",
    ),
    "config nan": Case(
        file("c.yaml", "optimizer:\n  learning_rate: .nan\n"),
        config,
        "{here}/c.yaml: optimizer.learning_rate: expected a number, found nan",
    ),
    "config inf": Case(
        file("c.yaml", "optimizer:\n  learning_rate: .inf\n"),
        config,
        "{here}/c.yaml: optimizer.learning_rate: expected a number, found inf",
    ),
    "config nan dropout": Case(
        file("c.yaml", "model: {head: {type: fc, dropout: .nan}}\n"),
        config,
        "{here}/c.yaml: model.head.dropout: expected a number, found nan",
    ),
    "config tab": Case(
        file("c.yaml", "data:\n\tpath: a\n"),
        config,
        "{here}/c.yaml: not YAML: found character '\\t' that cannot start any token (line 2, column 1)",
    ),
    "config latin": Case(
        file("c.yaml", b"data: {path: \xe9}\n"), config, "{here}/c.yaml: expected YAML in UTF-8, found the byte 0xe9"
    ),
    "config nul": Case(
        file("c.yaml", "epochs: 1\0\n"),
        config,
        (
            "{here}/c.yaml: not YAML: unacceptable character #x0000: special characters are not allowed "
            'in "<unicode string>", position 9'
        ),
    ),
    "config ctrl": Case(
        file("c.yaml", 'data: {path: "a\x07"}\n'),
        config,
        (
            "{here}/c.yaml: not YAML: unacceptable character #x0007: special characters are not allowed "
            'in "<unicode string>", position 15'
        ),
    ),
    "config two docs": Case(
        file("c.yaml", "epochs: 1\n---\nepochs: 2\n"),
        config,
        "{here}/c.yaml: not YAML: but found another document (line 2, column 1)",
    ),
    "config map key": Case(
        file("c.yaml", "{a: 1}: 1\n"), config, "{here}/c.yaml: not YAML: found unhashable key (line 1, column 1)"
    ),
    "config int key": Case(
        file("c.yaml", "1: 2\n"), config, "{here}/c.yaml: unknown key 1; did you mean optimizer.beta1?"
    ),
    "config deep": Case(
        file("c.yaml", "a: " + "[" * 600),
        config,
        "{here}/c.yaml: not YAML: values in one another, deeper than is read",
    ),
    "config bool": Case(
        file("c.yaml", "epochs: yes\n"), config, "{here}/c.yaml: epochs: expected a whole number, found 'yes'"
    ),
    "config image size huge": Case(
        file("c.yaml", "data: {image_size: 1000000000}\n"),
        config,
        "{here}/c.yaml: data.image_size: expected at most 65535 pixels, found 1000000000",
    ),
    "config size map": Case(
        file("c.yaml", "data: {image_size: {-1: 5}}\n"),
        config,
        ("{here}/c.yaml: data.image_size: expected sizes by the epochs done before each, from 0 on, found {-1: 5}"),
    ),
    "config binary": Case(
        file("c.yaml", "data: {path: !!binary aGVsbG8=}\n"),
        config,
        ("{here}/c.yaml: data.path: expected text, a list of texts such as [a, b] or null, found b'hello'"),
    ),
    "config set": Case(
        file("c.yaml", "data: {classes: !!set {a}}\n"),
        config,
        ("{here}/c.yaml: data.classes: expected a list of texts such as [a, b] or null, found {'a'}"),
    ),
    "config float tag": Case(
        file("c.yaml", "optimizer: {learning_rate: !!float abc}\n"),
        config,
        "{here}/c.yaml: not YAML: could not convert string to float: 'abc'",
    ),
    "config bool tag": Case(
        file("c.yaml", "resume: !!bool abc\n"),
        config,
        "{here}/c.yaml: not YAML: a value that is not as its tag says ('abc')",
    ),
    "config unknown anchor": Case(
        file("c.yaml", "epochs: *x\n"), config, "{here}/c.yaml: not YAML: found undefined alias 'x' (line 1, column 9)"
    ),
    "config html": Case(
        file("c.yaml", "<html>\n<body>a: b</body>"),
        config,
        "{here}/c.yaml: not YAML: mapping values are not allowed here (line 2, column 8)",
    ),
    "config widths huge": Case(
        file("c.yaml", "model: {widths: [99999999999999999999]}\n"),
        config,
        ("{here}/c.yaml: model.widths: expected a whole number of at most 18 digits, found 99999999999999999999"),
    ),
    "config optimizer type dunder": Case(
        file("c.yaml", "optimizer: __init__\n"),
        config,
        ("{here}/c.yaml: optimizer: expected one of adam, adamw, sgd, found '__init__'; did you mean adam?"),
    ),
    "config optimizer type list": Case(
        file("c.yaml", "optimizer: {type: [adam]}\n"),
        config,
        "{here}/c.yaml: optimizer.type: expected one of adam, adamw, sgd, found ['adam']",
    ),
    "config source module": Case(
        file("c.yaml", "data: {source: os}\n"),
        config,
        (
            "{here}/c.yaml: data.source: expected one of digits, folder, huggingface, tfds, webdataset, "
            "found 'os'; did you mean tfds?"
        ),
    ),
    "config negative int size": Case(
        file("c.yaml", "data: {image_size: [-3, 5]}\n"),
        config,
        "{here}/c.yaml: data.image_size: expected at least 1 pixel, found [-3, 5]",
    ),
    "config unfreeze": Case(
        file("c.yaml", "model: {unfreeze: {99999999999999999999: [stem]}}\n"),
        config,
        ("{here}/c.yaml: model.unfreeze: expected a whole number of at most 18 digits, found 99999999999999999999"),
    ),
    "config long text": Case(
        file("c.yaml", "data: {on_corrupt: " + "x" * 10_000 + "}\n"),
        config,
        (
            "{here}/c.yaml: data.on_corrupt: expected one of stop, skip, found "
            "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..."
        ),
    ),
    "config folder": Case(bare_folder("c.yaml"), config, "{here}/c.yaml: the config cannot be read (Is a directory)"),
    "config missing": Case(nothing, config, "{here}/c.yaml: the config cannot be read (No such file or directory)"),
    "run metrics empty": Case(
        file("metrics.jsonl", ""), run, "{here}/metrics.jsonl: expected the records of a run's epochs, found none"
    ),
    "run metrics lacking": Case(
        file("metrics.jsonl", '{"epoch": 1}\n'),
        run,
        (
            "{here}/metrics.jsonl: expected data_wait_fraction, images_per_second, learning_rate, "
            "seconds, train_accuracy, train_loss, val_accuracy, val_loss in every record, found "
            "{'epoch': 1}"
        ),
    ),
    "run metrics nan": Case(
        file("metrics.jsonl", '{"epoch": NaN}\n'),
        run,
        (
            "{here}/metrics.jsonl: expected data_wait_fraction, images_per_second, learning_rate, "
            "seconds, train_accuracy, train_loss, val_accuracy, val_loss in every record, found "
            "{'epoch': nan}"
        ),
    ),
    "run metrics binary": Case(
        file("metrics.jsonl", b"\xff\n"),
        run,
        "{here}/metrics.jsonl: expected a file of a finished epoch of a run, found none (not UTF-8)",
    ),
    "run metrics deep": Case(
        file("metrics.jsonl", "[" * 100000 + "\n"),
        run,
        (
            "{here}/metrics.jsonl: expected JSON, as a run writes it, found "
            "'[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[['"
        ),
    ),
    "run record text": Case(
        every(
            file("metrics.jsonl", RECORD.replace(": 1", ': "x"')),
            file("run.json", "{}"),
            file("config.yaml", "epochs: 1\n"),
        ),
        run,
        "{here}/metrics.jsonl: expected numbers in every record, found data_wait_fraction 'x'",
    ),
    "run json list": Case(
        every(file("metrics.jsonl", RECORD), file("run.json", "[]")),
        run,
        "{here}/run.json: expected a JSON object, as a run writes it, found '[]'",
    ),
    "run config": Case(
        every(file("metrics.jsonl", RECORD), file("run.json", "{}"), file("config.yaml", "epochs: [")),
        run,
        ("{here}/config.yaml: not YAML: expected the node content, but found '<stream end>' (line 1, column 10)"),
    ),
    "calibration deep": Case(
        file("calibration.json", "[" * 100000),
        calibration,
        (
            "{here}/calibration.json: the file cannot be read (maximum recursion depth exceeded while "
            "decoding a JSON array from a unicode string)"
        ),
    ),
    "calibration format": Case(
        file("calibration.json", '{"format": 7}'),
        calibration,
        "{here}/calibration.json: expected format 1 of what jaxnext calibrate writes, found another",
    ),
    "calibration temp": Case(
        file(
            "calibration.json",
            '{"format": 1, "best": {"temperature": "x", "images": 1, "log_loss": [1,1], "ece": [1,1]}}',
        ),
        calibration,
        "{here}/calibration.json: expected a temperature above 0, found 'x'",
    ),
    "sorted foreign": Case(
        file("sorted.csv", "a,b\n1,2\n"),
        sorted_table,
        (
            "{here}/sorted.csv: expected the table of a sort, with the columns "
            "source,destination,label,probability,mode,sha256, found another file; move it away, or sort "
            "into another folder"
        ),
    ),
    "sorted binary": Case(
        file("sorted.csv", b"\xff\xfe\0\0"),
        sorted_table,
        (
            "{here}/sorted.csv: expected the table of a sort, with the columns "
            "source,destination,label,probability,mode,sha256, found another file; move it away, or sort "
            "into another folder"
        ),
    ),
    "sorted escape": Case(
        file("sorted.csv", "source,destination,label,probability,mode,sha256\n/a.jpg,../../etc/x.jpg,cat,1,copy,00\n"),
        sorted_table,
        (
            "{here}/sorted.csv: expected places in the folder that was sorted into, found "
            "'../../etc/x.jpg'; it is not as a sort has written it"
        ),
    ),
    "sorted json": Case(
        file("sorted.json", "[" * 100000),
        sorted_table,
        (
            "{here}/sorted.json: expected the options of a sort, found another file (maximum recursion "
            "depth exceeded while decoding a JSON array from a unicode string)"
        ),
    ),
    "corrupt ragged": Case(
        file("corrupt.csv", "path,error\na\n"),
        corrupt_table,
        ("{here}/corrupt.csv: expected a CSV file with the columns path,error, found another; move it away"),
    ),
    "corrupt quote": Case(
        file("corrupt.csv", 'path,error\n"a,b\n'),
        corrupt_table,
        ("{here}/corrupt.csv: expected a CSV file with the columns path,error, found another; move it away"),
    ),
}
