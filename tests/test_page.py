import os

from html_reader import Reader

from jaxnext.reporting.page import definitions, document, more, paragraphs, table, text

EVIL = "<script>alert('&')</script>"


def test_texts_stay_texts() -> None:
    assert text(f'{EVIL}"') == "&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;&quot;"
    assert text(os.fsdecode(b"\xe9")) == r"\udce9"
    for html in (paragraphs([EVIL]), definitions([(EVIL, EVIL)]), table([EVIL], [[EVIL]])):
        assert "script" not in Reader(html).tags
        assert EVIL in Reader(html).texts


def test_more_is_said_where_not_all_is_shown() -> None:
    assert (more(0), more(-1), more(1200, "pairs")) == ("", "", "<p>and 1,200 more pairs</p>")


def test_a_document() -> None:
    page = document(EVIL, "<p>x</p>", header="<i>h</i>", style=".a{}", script="1")
    found = Reader(page)
    assert " ".join(found.tags) == "html head meta meta title style body header h1 i main p script"
    assert found.texts.count(EVIL) == 2
    assert ".a{}</style>" in page
    assert found.loaded == []
    assert "<script" not in document("t", "")
    assert '<meta http-equiv="refresh" content="5">' in document("t", "", refresh=5)
