from pathlib import Path

from html_reader import Reader

from jaxnext.reporting.similar_page import Neighbour, Query, similar_page, write_similar

SAME = Neighbour("a/<b>.jpg", "/data/a/<b>.jpg", 1.0, True, "data:image/jpeg;base64,AAAA")
GONE = Neighbour("c.jpg", "/data/c.jpg", 0.12345, False, None)
QUERY = Query('"q".jpg', "data:image/jpeg;base64,BBBB", [SAME, GONE])


def test_a_query_and_its_neighbours() -> None:
    page = similar_page([QUERY], 1234)
    assert "The nearest of 1,234 images" in page
    assert "<b>&quot;q&quot;.jpg</b>" in page
    assert (
        '<figure class="same"><img src="data:image/jpeg;base64,AAAA" alt="/data/a/&lt;b&gt;.jpg" '
        'title="/data/a/&lt;b&gt;.jpg" loading="lazy"><figcaption><b>1.000</b><br><span>the same image</span><br>'
        "a/&lt;b&gt;.jpg</figcaption></figure>"
    ) in page
    assert (
        '<figure class=""><span class=gone>gone</span><figcaption><b>0.123</b><br>c.jpg</figcaption></figure>'
    ) in page
    assert "<script" not in page
    assert Reader(page).loaded == ["data:image/jpeg;base64,BBBB", "data:image/jpeg;base64,AAAA"]


def test_the_file(tmp_path: Path) -> None:
    write_similar([QUERY, QUERY], 2, tmp_path / "new" / "s.html")
    text = (tmp_path / "new" / "s.html").read_text()
    assert text == similar_page([QUERY, QUERY], 2)
    assert text.count("<section class=similar>") == 2
