"""Hostile images, folders of images, and tables of them; see ``test_hostile_input``."""

import os
from pathlib import Path

from hostile_input import (
    Case,
    bare_folder,
    chosen_twice,
    class_folders,
    data_set,
    device,
    every,
    file,
    images,
    labelled,
    link,
    names,
    nothing,
    one_class,
    one_image,
    picture,
    pipe,
    png_of_size,
    png_text_bomb,
    raw_name,
    table,
    unix_socket,
    unreadable,
)

from jaxnext.data.folder_source import files_source

CASES = {
    "image empty": Case(file("x.jpg", b""), images, "{here}/x.jpg: the image cannot be read (the file is empty)"),
    "image text": Case(
        file("x.jpg", "not a picture"),
        images,
        "{here}/x.jpg: the image cannot be read (not an image that Pillow can read)",
    ),
    "image jpeg cut": Case(
        file("x.jpg", picture("JPEG")[:-40]), images, "{here}/x.jpg: the image cannot be read (Truncated File Read)"
    ),
    "image png cut": Case(
        file("x.png", picture()[:-30]), images, "{here}/x.png: the image cannot be read (image file is truncated)"
    ),
    "image png crc": Case(
        file("x.png", picture()[:29] + b"\0\0\0\0" + picture()[33:]),
        images,
        "{here}/x.png: the image cannot be read (not an image that Pillow can read)",
    ),
    "image png bomb": Case(
        file("x.png", png_of_size(50_000, 50_000)),
        images,
        (
            "{here}/x.png: the image cannot be read (Image size (2500000000 pixels) exceeds limit of "
            "178956970 pixels, could be decompression bomb DOS attack.)"
        ),
    ),
    "image png 2^31": Case(
        file("x.png", png_of_size(2**31 - 1, 2**31 - 1)),
        images,
        (
            "{here}/x.png: the image cannot be read (Image size (4611686014132420609 pixels) exceeds "
            "limit of 178956970 pixels, could be decompression bomb DOS attack.)"
        ),
    ),
    "image png 0x0": Case(
        file("x.png", png_of_size(0, 0)),
        images,
        "{here}/x.png: the image cannot be read (not an image that Pillow can read)",
    ),
    "image png text bomb": Case(
        file("x.png", png_text_bomb()),
        images,
        ("{here}/x.png: the image cannot be read (Decompressed data too large for PngImagePlugin.MAX_TEXT_CHUNK)"),
    ),
    "image gif": Case(
        file("x.gif", b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08"),
        images,
        (
            "{here}/x.gif: the image cannot be read (Image size (4294836225 pixels) exceeds limit of "
            "178956970 pixels, could be decompression bomb DOS attack.)"
        ),
    ),
    "image eps": Case(
        file("x.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"),
        images,
        "{here}/x.png: the image cannot be read (PostScript is a program, not an image)",
    ),
    "image tiff loop": Case(
        file("x.tif", b"II*\0\x08\0\0\0\x01\0\0\x01\x03\0\x01\0\0\0\x01\0\0\0\x08\0\0\0"),
        images,
        "{here}/x.tif: the image cannot be read (not an image that Pillow can read)",
    ),
    "image folder named x.jpg": Case(bare_folder("x.jpg"), images, "{here}: found no images"),
    "image pipe": Case(pipe("x.jpg"), images, "{here}/x.jpg: expected an image file, found a named pipe; remove it"),
    "image pipe named": Case(
        pipe("x.jpg"), one_image, "{here}/x.jpg: expected an image file, found a named pipe; remove it"
    ),
    "image socket": Case(
        unix_socket("x.jpg"), images, "{here}/x.jpg: expected an image file, found a socket; remove it"
    ),
    "image device": Case(device("x.jpg"), images, "{here}/x.jpg: expected an image file, found a device; remove it"),
    "image dangling": Case(
        link("x.jpg", "nowhere.jpg"), images, "{here}/x.jpg: the image cannot be read (No such file or directory)"
    ),
    "image self link": Case(
        link("x.jpg", "x.jpg"), images, "{here}/x.jpg: expected a link to a file or folder, found one in a circle"
    ),
    "folder loop": Case(
        every(bare_folder("a"), link("a/b", "..")),
        images,
        "{here}/a/b: the link leads back to a folder that contains it",
    ),
    "image raw name": Case(
        raw_name(b"\xff\xfe.jpg", b"x"),
        images,
        "{here}/\\udcff\\udcfe.jpg: the image cannot be read (not an image that Pillow can read)",
    ),
    "image newline name": Case(
        file("a\nb\x1b[31m.jpg", b"x"),
        images,
        "{here}/a\\nb\\x1b[31m.jpg: the image cannot be read (not an image that Pillow can read)",
    ),
    "image missing named": Case(bare_folder("a"), one_image, "{here}/x.jpg: no such file or folder"),
    "image exe named": Case(
        file("x.txt", b"x"),
        lambda f: files_source([f / "x.txt"]),
        "{here}/x.txt: expected an image file, found the extension '.txt'",
    ),
    "data missing": Case(
        nothing,
        lambda f: data_set(f / "none"),
        ("data.path {here}/none: no such folder; give the one that holds train/ with --data.path FOLDER"),
    ),
    "data empty": Case(
        nothing,
        data_set,
        (
            "data.path {here}: expected train/ with a folder for each class in it, or a folder for each "
            "of two classes or more, found an empty folder"
        ),
    ),
    "data file": Case(
        file("x", b""),
        lambda f: data_set(f / "x"),
        ("data.path {here}/x: expected the folder that holds train/, or a .zip or .tar file, found another"),
    ),
    "data one class": Case(
        class_folders("a"),
        data_set,
        (
            "data.path {here}: expected train/ with a folder for each class in it, or a folder for each "
            "of two classes or more, found a/"
        ),
    ),
    "data empty class": Case(
        every(class_folders("a", "b"), bare_folder("c")),
        data_set,
        "{here}/c: the class folder holds no images; add some or remove the folder",
    ),
    "data train and TRAIN": Case(
        every(class_folders("a", "b", of="Train"), class_folders("a", "b", of="TRAIN")),
        data_set,
        "{here}: expected one folder train/, found TRAIN/, Train/",
    ),
    "data val only": Case(
        class_folders("a", "b", of="val"), data_set, "{here}: expected train/ beside val/, found none"
    ),
    "data newline class": Case(
        class_folders("a\nb", "c", of="train"),
        data_set,
        (
            "{here}/train: expected names of classes in UTF-8, of one line and without control "
            "characters, found 'a\\nb'; rename it"
        ),
    ),
    "data ctrl class": Case(
        class_folders("a\x1b[2J", "c", of="train"),
        data_set,
        (
            "{here}/train: expected names of classes in UTF-8, of one line and without control "
            "characters, found 'a\\x1b[2J'; rename it"
        ),
    ),
    "data blanks class": Case(
        class_folders("a", "a ", of="train"),
        data_set,
        (
            "{here}/train: expected names of classes that differ to the eye, found 'a' and 'a ' (blanks "
            "at their ends); make them one"
        ),
    ),
    "data nfc nfd": Case(
        class_folders("\u00e9", "e\u0301", of="train"),
        data_set,
        (
            "{here}/train: expected names of classes that differ to the eye, found 'e\\u0301' and '\\xe9' "
            "(the same letters in two Unicode forms, NFC and NFD); make them one"
        ),
    ),
    "data raw class": Case(
        lambda f: [
            (f / "train" / os.fsdecode(n)).mkdir(parents=True)
            or (f / "train" / os.fsdecode(n) / "1.png").write_bytes(picture())
            for n in (b"\xff", b"b")
        ],
        data_set,
        (
            "{here}/train: expected names of classes in UTF-8, of one line and without control "
            "characters, found '\\udcff'; rename it"
        ),
    ),
    "data val unknown class": Case(
        every(class_folders("a", "b", of="train"), class_folders("c", of="val")),
        data_set,
        "{here}/val/c: expected one of the 2 classes a, b, found 'c'",
    ),
    "data image beside": Case(
        every(class_folders("a", "b", of="train"), file("train/x.png", picture())),
        data_set,
        ("{here}/train: expected only class folders, found the image x.png beside them; move it into a class folder"),
    ),
    "data pipe": Case(
        every(class_folders("a", "b", of="train"), pipe("train/a/p.png")),
        data_set,
        "{here}/train/a/p.png: expected an image file, found a named pipe; remove it",
    ),
    "data one image": Case(
        every(file("train/a/1.png", picture()), file("train/b/1.png", picture())),
        data_set,
        "{here}/train: no class has two images, so that none can be held out for validation; add val/",
    ),
    "data dangling train": Case(
        link("train", "nowhere"),
        data_set,
        (
            "data.path {here}: expected train/ with a folder for each class in it, or a folder for each "
            "of two classes or more, found train"
        ),
    ),
    "data train file": Case(
        file("train", b""),
        data_set,
        (
            "data.path {here}: expected train/ with a folder for each class in it, or a folder for each "
            "of two classes or more, found train"
        ),
    ),
    "data null character": Case(
        nothing,
        lambda f: data_set(Path("a\0b")),
        "data.path: expected a path, found one with a null character: 'a\\x00b'",
    ),
    "data deep": Case(
        every(class_folders("a", "b"), class_folders("/".join("d" * 150))),
        data_set,
        "{here}: expected folders at most 100 deep in one another, found deeper ones",
    ),
    "data locked": Case(
        class_folders("a", "b", "locked"),
        unreadable,
        "{here}/locked: expected a folder that can be read, found: Permission denied",
    ),
    "data single class": Case(
        class_folders("a", of="train"),
        one_class,
        "data.path {here}: expected images of at least two classes, found only a",
    ),
    "data class chosen twice": Case(
        class_folders("a", "b"), chosen_twice, "data.classes: expected each class once, found 'a' twice"
    ),
    "data loop path": Case(
        link("l", "l"), lambda f: data_set(f / "l"), "data.path {here}/l: expected a folder, found a link in a circle"
    ),
    "csv empty": Case(
        table(""), labelled, "{here}/labels.csv: expected a header and rows below it, found an empty file"
    ),
    "csv header only": Case(
        table("image,label\n"), labelled, "{here}/labels.csv: expected rows below the header, found none"
    ),
    "csv nul": Case(
        table("image,label\na.png,\0\n"),
        labelled,
        (
            "{here}/labels.csv: expected names of classes in UTF-8, of one line and without control "
            "characters, found '\\x00'; rename it"
        ),
    ),
    "csv nul name": Case(
        table("image,label\na\0.png,x\n"),
        labelled,
        "{here}/labels.csv: 1 of 1 images are not in {here}/images: a\\x00.png",
    ),
    "csv ragged": Case(
        table("image,label\na.png,x\nb.png\n"),
        labelled,
        "{here}/labels.csv: expected 2 cells in each row, found 1 in row 3, 'b.png'",
    ),
    "csv duplicate header": Case(
        table("image,image,label\na,b,c\n"),
        labelled,
        "{here}/labels.csv: expected one column 'image', found 2 of them; rename one",
    ),
    "csv open quote": Case(
        table('image,label\n"a.png,x\nb.png,y\n'),
        labelled,
        "{here}/labels.csv: line 3 is not as CSV has it (unexpected end of data)",
    ),
    "csv quote in middle": Case(
        table('image,label\n"a"b.png,x\n'),
        labelled,
        "{here}/labels.csv: line 2 is not as CSV has it (',' expected after '\"')",
    ),
    "csv big field": Case(
        table("image,label\n" + "a" * 10_000_000 + ",x\n"),
        labelled,
        "{here}/labels.csv: line 2 is not as CSV has it (field larger than field limit (131072))",
    ),
    "csv big header": Case(
        table("a" * 10_000_000 + "\n1\n"),
        labelled,
        "{here}/labels.csv: line 1 is not as CSV has it (field larger than field limit (131072))",
    ),
    "csv utf16": Case(
        table("image,label\na.png,x\n".encode("utf-16")),
        labelled,
        "{here}/labels.csv: expected text in UTF-8, found the byte 0xff; save it as UTF-8",
    ),
    "csv latin1": Case(
        table("image,label\na.png,\xe9\n".encode("latin-1")),
        labelled,
        "{here}/labels.csv: expected text in UTF-8, found the byte 0xe9; save it as UTF-8",
    ),
    "csv missing file": Case(
        table("image,label\nnone.png,x\nb.png,y\n"),
        labelled,
        (
            "{here}/labels.csv: 1 of 2 images are not in {here}/images: none.png; train without them "
            "with --data.on_corrupt skip"
        ),
    ),
    "csv missing all": Case(
        table("image,label\n../x.png,x\n/etc/passwd,y\n"),
        labelled,
        "{here}/labels.csv: 2 of 2 images are not in {here}/images: ../x.png, /etc/passwd",
    ),
    "csv absolute": Case(
        table("image,label\n/etc/hostname,x\nb.png,y\n"),
        labelled,
        (
            "{here}/labels.csv: 1 of 2 images are not in {here}/images: /etc/hostname; train without "
            "them with --data.on_corrupt skip"
        ),
    ),
    "csv dotdot": Case(
        table("image,label\n../images/b.png,x\nb.png,y\n"),
        labelled,
        (
            "{here}/labels.csv: 1 of 2 images are not in {here}/images: ../images/b.png; train without "
            "them with --data.on_corrupt skip"
        ),
    ),
    "csv two labels": Case(
        table("image,label\nb.png,x\nb.png,y\n"),
        labelled,
        (
            "{here}/labels.csv: expected each image once, found 1 listed again with another label or "
            "split: b.png (x and y)"
        ),
    ),
    "csv several": Case(
        table("image,label\na.png,x\nb.png,y\na,z\n"),
        labelled,
        ("{here}/labels.csv: expected each image once, found 1 listed again with another label or split: a (x and z)"),
    ),
    "csv no label col": Case(
        table("image,kind\na.png,x\n"),
        labelled,
        (
            "{here}/labels.csv: expected a column of labels (label, class, target, category), found the "
            "columns image, kind; name it with --data.label_column"
        ),
    ),
    "csv no image col": Case(
        table("foo,label\na.png,x\n"),
        labelled,
        (
            "{here}/labels.csv: expected a column of image names (image, filename, file, path, id, "
            "image_id, image_name, image_path, file_name, filepath, name), found the columns foo, label; "
            "name it with --data.image_column"
        ),
    ),
    "csv empty label": Case(
        table("image,label\nb.png,\nc/a.png,y\n"),
        labelled,
        "{here}/labels.csv: expected a label in each row, found none in 1 of 2: b.png",
    ),
    "csv ctrl label": Case(
        table("image,label\nb.png,\x1b[31m\nc/a.png,y\n"),
        labelled,
        (
            "{here}/labels.csv: expected names of classes in UTF-8, of one line and without control "
            "characters, found '\\x1b[31m'; rename it"
        ),
    ),
    "csv split other": Case(
        table("image,label,split\nb.png,a,foo\nc/a.png,b,train\n"),
        labelled,
        ("{here}/labels.csv: expected train, val, valid, validation, dev, test in the column split, found 'foo'"),
    ),
    "csv only test": Case(
        table("image,label,split\nb.png,a,test\nc/a.png,b,test\n"),
        labelled,
        "{here}/labels.csv: expected rows for training, found only test in the column split",
    ),
    "csv binary": Case(
        table(bytes(range(256))),
        labelled,
        "{here}/labels.csv: expected text in UTF-8, found the byte 0x80; save it as UTF-8",
    ),
    "csv empty name": Case(
        table("image,label\n,x\nb.png,y\n"),
        labelled,
        "{here}/labels.csv: expected image names in the column image, found none in row 2",
    ),
    "csv folder": Case(
        every(file("images/a/b.png", picture()), bare_folder("labels.csv")),
        labelled,
        "{here}/labels.csv: the file cannot be read (Is a directory)",
    ),
    "csv missing": Case(
        file("images/a/b.png", picture()),
        labelled,
        "{here}/labels.csv: the file cannot be read (No such file or directory)",
    ),
    "csv dangling": Case(
        every(file("images/a/b.png", picture()), link("labels.csv", "gone.csv")),
        labelled,
        "{here}/labels.csv: the file cannot be read (No such file or directory)",
    ),
    "names missing": Case(
        every(
            file("images/a.png", picture()),
            file("images/c/a.png", picture()),
            file("names.csv", "id,label\n../../x,\n"),
        ),
        names,
        ("{here}/names.csv: expected names of images in {here}/images, found 1 of 1 that are not there: ../../x"),
    ),
    "names binary": Case(
        every(file("images/a.png", picture()), file("images/c/a.png", picture()), file("names.csv", b"\xff\xfe\0")),
        names,
        "{here}/names.csv: expected text in UTF-8, found the byte 0xff; save it as UTF-8",
    ),
}
