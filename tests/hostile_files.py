"""Hostile archives, files of weights and lists of classes; see ``test_hostile_input``."""

import tarfile
import zipfile

import torch_writer
from hostile_input import (
    GOOD,
    REGULAR,
    Case,
    archive,
    bare_folder,
    changed,
    classes,
    device,
    every,
    file,
    nothing,
    picture,
    pipe,
    safetensors,
    says_size,
    shards,
    tarred,
    torch_zip,
    weights,
    zipped,
)

CASES = {
    "zip empty file": Case(
        file("a.zip", b""), archive("zip"), "{here}/a.zip: the archive cannot be read (File is not a zip file)"
    ),
    "zip no zip": Case(
        file("a.zip", b"<html>"), archive("zip"), "{here}/a.zip: the archive cannot be read (File is not a zip file)"
    ),
    "zip empty": Case(
        zipped("a.zip", []), archive("zip"), "{here}/a.zip: expected an archive with images in it, found an empty one"
    ),
    "zip bomb": Case(
        every(zipped("a.zip", [*GOOD, ("a/bomb.png", b"x")]), says_size("a.zip", 70_000_000)),
        archive("zip"),
        ("{here}/a.zip: expected image files, found the entry 'a/bomb.png' that would grow from 3 to 70,000,000 bytes"),
    ),
    "zip traversal": Case(
        zipped("a.zip", [*GOOD, ("../../evil.png", b"x")]),
        archive("zip"),
        "{here}/a.zip: expected paths inside of the archive, found the entry '../../evil.png'",
    ),
    "zip absolute": Case(
        zipped("a.zip", [*GOOD, ("/etc/evil.png", b"x")]),
        archive("zip"),
        "{here}/a.zip: expected paths inside of the archive, found the entry '/etc/evil.png'",
    ),
    "zip link": Case(
        zipped("a.zip", [*GOOD, ("a/l.png", b"/etc/passwd")], mode=0o120777),
        archive("zip"),
        "{here}/a.zip: expected files and folders, found the link 'a/0.png'",
    ),
    "zip lzma": Case(
        zipped("a.zip", GOOD, method=zipfile.ZIP_LZMA),
        archive("zip"),
        "{here}/a.zip: expected stored or deflated entries, found 'a/0.png' with LZMA; zip anew",
    ),
    "zip encrypted": Case(
        every(
            zipped("a.zip", GOOD),
            changed(
                "a.zip",
                lambda b: b.replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"),
            ),
        ),
        archive("zip"),
        "{here}/a.zip: expected a zip file without a password, found the encrypted entry 'a/0.png'",
    ),
    "zip twice": Case(
        zipped("a.zip", [*GOOD, GOOD[0]]),
        archive("zip"),
        "{here}/a.zip: expected each path once, found the entry 'a/0.png' twice",
    ),
    "zip cut": Case(
        every(zipped("a.zip", GOOD), changed("a.zip", lambda b: b[:-30])),
        archive("zip"),
        "{here}/a.zip: the archive cannot be read (File is not a zip file)",
    ),
    "zip folder": Case(
        bare_folder("a.zip"),
        archive("zip"),
        (
            "data.path {here}/a.zip: expected train/ with a folder for each class in it, or a folder for "
            "each of two classes or more, found an empty folder"
        ),
    ),
    "zip names newline": Case(
        zipped("a.zip", [("a\nb/1.png", picture()), ("a\nb/2.png", picture()), *GOOD]),
        archive("zip"),
        (
            "{here}/a.zip: expected names of classes in UTF-8, of one line and without control "
            "characters, found 'a\\nb'; rename it"
        ),
    ),
    "zip nested deep": Case(
        zipped("a.zip", [*GOOD, ("a/" + "d/" * 5000 + "x.png", b"x")]),
        archive("zip"),
        (
            "{here}/a.zip: expected entries at most 100 folders deep, found "
            "'a/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/'... in 5,001"
        ),
    ),
    "tar traversal": Case(
        tarred("a.tar", ("../x.png", REGULAR, b"x", "")),
        archive("tar"),
        "{here}/a.tar: expected paths inside of the archive, found the entry '../x.png'",
    ),
    "tar symlink": Case(
        tarred("a.tar", ("a/x.png", tarfile.SYMTYPE, b"", "/etc/passwd")),
        archive("tar"),
        "{here}/a.tar: expected files and folders, found the link or device 'a/x.png'",
    ),
    "tar hardlink": Case(
        tarred("a.tar", ("a/x.png", tarfile.LNKTYPE, b"", "a/y.png")),
        archive("tar"),
        "{here}/a.tar: expected files and folders, found the link or device 'a/x.png'",
    ),
    "tar device": Case(
        tarred("a.tar", ("a/x.png", tarfile.CHRTYPE, b"", "")),
        archive("tar"),
        "{here}/a.tar: expected files and folders, found the link or device 'a/x.png'",
    ),
    "tar twice": Case(
        tarred("a.tar", ("a/x.png", REGULAR, b"x", ""), ("a/x.png", REGULAR, b"y", "")),
        archive("tar"),
        "{here}/a.tar: expected each path once, found the entry 'a/x.png' twice",
    ),
    "tar cut": Case(
        every(tarred("a.tar", ("a/x.png", REGULAR, bytes(2000), "")), changed("a.tar", lambda b: b[:1024])),
        archive("tar"),
        "{here}/a.tar: the archive is cut short in its entry 'a/x.png'",
    ),
    "tar gz": Case(
        file("a.tar", b"\x1f\x8b\x08\0" + bytes(30)),
        archive("tar"),
        (
            "{here}/a.tar: expected a .tar file that is not compressed, since images are read in any "
            "order, found one that is; decompress it, or unpack it"
        ),
    ),
    "tar no tar": Case(
        file("a.tar", "hello" * 200), archive("tar"), "{here}/a.tar: the archive cannot be read (invalid header)"
    ),
    "tar empty": Case(file("a.tar", b""), archive("tar"), "{here}/a.tar: the archive cannot be read (empty file)"),
    "tar negative size": Case(
        every(
            tarred("a.tar", ("a/x.png", REGULAR, b"x", "")),
            changed("a.tar", lambda b: b[:124] + b"\xff" * 12 + b[136:]),
        ),
        archive("tar"),
        "{here}/a.tar: the archive cannot be read (bad checksum)",
    ),
    "shards no label": Case(
        tarred("000.tar", ("a.png", REGULAR, picture(), "")),
        shards,
        (
            "{here}/000.tar: expected a .cls file beside each image, found none beside 1 of 1: a.png; "
            "there are files with png; name one with --data.source.label"
        ),
    ),
    "shards big label": Case(
        tarred("000.tar", ("a.png", REGULAR, picture(), ""), ("a.cls", REGULAR, bytes(70000), "")),
        shards,
        "{here}/000.tar: expected a label in 'a.cls', found 70,000 bytes",
    ),
    "shards binary label": Case(
        tarred("000.tar", ("a.png", REGULAR, picture(), ""), ("a.cls", REGULAR, b"\xff", "")),
        shards,
        "{here}/000.tar: expected a label (cls) in 'a.cls', found another content",
    ),
    "weights empty": Case(
        file("net.pth", b""),
        weights,
        ("{here}/net.pth: it is neither a .pth or .pt file of torch.save nor a .safetensors file; it is empty"),
    ),
    "weights html": Case(
        file("net.pth", "<!DOCTYPE html><title>Sign in</title>"),
        weights,
        (
            "{here}/net.pth: it is neither a .pth or .pt file of torch.save nor a .safetensors file; it "
            "begins with b'<!DOCTYPE html><'"
        ),
    ),
    "weights folder": Case(bare_folder("net.pth"), weights, "{here}/net.pth: not a file"),
    "weights missing": Case(nothing, weights, "{here}/net.pth: no such file"),
    "weights pipe": Case(pipe("net.pth"), weights, "{here}/net.pth: not a file"),
    "weights device": Case(device("net.pth"), weights, "{here}/net.pth: not a file"),
    "weights calls os.system": Case(
        file("net.pth", torch_zip({"a": torch_writer.call("os", "system", "touch /tmp/owned")})),
        weights,
        (
            "{here}/net.pth: it holds no tensors, neither bare nor under state_dict, model_state_dict, "
            "model, model_ema, state_dict_ema..."
        ),
    ),
    "weights calls eval": Case(
        file("net.pth", torch_zip({"a": torch_writer.call("builtins", "eval", "1")})),
        weights,
        (
            "{here}/net.pth: it holds no tensors, neither bare nor under state_dict, model_state_dict, "
            "model, model_ema, state_dict_ema..."
        ),
    ),
    "weights pickle2": Case(
        file("net.pth", torch_writer.pickled({"a": torch_writer.call("os", "system", "id")})),
        weights,
        (
            "{here}/net.pth: it is a pickle of Python and not a file of torch.save; if you trust it, this line "
            "saves it as one: import pickle, torch; torch.save(pickle.load(open(IN, 'rb')), OUT)"
        ),
    ),
    "weights zip cut": Case(
        file("net.pth", torch_zip({"a": 1})[:-40]),
        weights,
        "{here}/net.pth: it is a zip archive cut short or damaged (its directory is missing)",
    ),
    "weights zip no pkl": Case(
        every(zipped("net.pth", [("x/readme.txt", b"hello")], method=0)),
        weights,
        "{here}/net.pth: it is a zip archive, but not PyTorch's: it has no data.pkl",
    ),
    "weights no tensors": Case(
        file("net.pth", torch_zip({"epoch": 3})),
        weights,
        (
            "{here}/net.pth: it holds no tensors, neither bare nor under state_dict, model_state_dict, "
            "model, model_ema, state_dict_ema"
        ),
    ),
    "weights safetensors huge header": Case(
        file("net.pth", safetensors({}, length=2**60)),
        weights,
        (
            "{here}/net.pth: it is neither a .pth or .pt file of torch.save nor a .safetensors file; it "
            "begins with b'\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x10{}'"
        ),
    ),
    "weights safetensors long header": Case(
        file("net.pth", safetensors(b"{" + b" " * 5_000_001 + b"}")),
        weights,
        "{here}/net.pth: its safetensors header is longer than 5,000,000 bytes",
    ),
    "weights safetensors overlap": Case(
        file(
            "net.pth",
            safetensors(
                {
                    "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                    "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
                },
                bytes(12),
            ),
        ),
        weights,
        (
            "{here}/net.pth: its safetensors header is malformed (Error while deserializing: invalid "
            "offset for tensor `b`)"
        ),
    ),
    "weights safetensors negative": Case(
        file("net.pth", safetensors({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, bytes(4))),
        weights,
        (
            "{here}/net.pth: its safetensors header is malformed (Error while deserializing: invalid "
            "JSON in header: invalid value: integer `-1`, expected usize at line 1 column 62)"
        ),
    ),
    "weights safetensors shape overflow": Case(
        file(
            "net.pth", safetensors({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}}, bytes(4))
        ),
        weights,
        (
            "{here}/net.pth: its safetensors header is malformed (Error while deserializing: overflow "
            "computing buffer size from shape and/or element type)"
        ),
    ),
    "weights safetensors cut": Case(
        file("net.pth", safetensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, bytes(4))),
        weights,
        (
            "{here}/net.pth: its safetensors header is malformed (Error while deserializing: incomplete "
            "metadata, file not fully covered)"
        ),
    ),
    "weights safetensors deep": Case(
        file("net.pth", safetensors(b'{"a":' + b"[" * 100000 + b"]" * 100000 + b"}")),
        weights,
        (
            "{here}/net.pth: its safetensors header is malformed (Error while deserializing: invalid "
            "JSON in header: recursion limit exceeded at line 1 column 132)"
        ),
    ),
    "weights safetensors header not utf8": Case(
        file("net.pth", safetensors(b'{"\xff": 1}')),
        weights,
        (
            "{here}/net.pth: its safetensors header is malformed (Error while deserializing: invalid "
            "UTF-8 in header: invalid utf-8 sequence of 1 bytes from index 2)"
        ),
    ),
    "classes empty": Case(
        file("classes", ""), classes, "--classes {here}/classes: expected a class name a line, found an empty file"
    ),
    "classes dup": Case(
        file("classes", "a\nb\na\n"),
        classes,
        "--classes {here}/classes: the name 'a' stands in line 1 and again in line 3",
    ),
    "classes blank": Case(
        file("classes", "a\n\nb\n"),
        classes,
        "--classes {here}/classes: expected a class name in line 2, found an empty line",
    ),
    "classes latin": Case(
        file("classes", b"\xe9\n"),
        classes,
        (
            "--classes {here}/classes: expected a text file with a class name a line, found 'utf-8' "
            "codec can't decode byte 0xe9 in position 0: invalid continuation byte"
        ),
    ),
    "classes missing": Case(
        nothing,
        classes,
        (
            "--classes {here}/classes: expected a text file with a class name a line, found [Errno 2] No "
            "such file or directory: '{here}/classes'"
        ),
    ),
    "classes empty folder": Case(
        bare_folder("classes"), classes, "--classes {here}/classes: expected a folder for each class, found no folders"
    ),
    "classes ctrl": Case(
        file("classes", "a\x1b[31m\nb\n"),
        classes,
        (
            "--classes {here}/classes: expected names of classes in UTF-8, of one line and without "
            "control characters, found 'a\\x1b[31m'; rename it"
        ),
    ),
    "classes nul": Case(
        file("classes", "a\0\nb\n"),
        classes,
        (
            "--classes {here}/classes: expected names of classes in UTF-8, of one line and without "
            "control characters, found 'a\\x00'; rename it"
        ),
    ),
}
