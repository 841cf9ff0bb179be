from test_curves import history_of

from jaxnext.reporting.compare_charts import interval_bar, overlaid, swatch
from jaxnext.reporting.intervals import Figure


def test_each_setting_has_a_colour_of_the_page() -> None:
    svg = overlaid([[history_of(3), history_of(2)], [history_of(3)]], "val_accuracy")
    assert "var(--series0)" in svg
    assert "var(--series1)" in svg
    assert "#0173b2" not in svg
    assert "var(--series1)" in swatch(9)
    assert 'stroke-dasharray="6 3"' in swatch(9)


def test_an_interval_is_drawn_to_scale() -> None:
    bar = interval_bar(Figure(0.1, -0.1, 0.2), 0.2)
    assert 'x1="32.0" x2="116.0"' in bar
    assert 'cx="88.0"' in bar
