from jaxnext.config.sections import DataConfig
from jaxnext.data.pixels import Pixels


def test_of_a_config() -> None:
    new = Pixels.of(DataConfig(image_size=64))
    assert new == Pixels((64, 64), "stretch", 0.875, "exif", "scale", "white")
    data = DataConfig(
        image_size=(48, 64), resize="crop", crop_share=0.5, orientation="stored", depth="clip", background="black"
    )
    assert Pixels.of(data) == Pixels((48, 64), "crop", 0.5, "stored", "clip", "black")
    assert (Pixels.of(data).shape, Pixels.of(data).bytes) == ((48, 64, 3), 9216)


def test_every_setting_is_in_the_key_of_what_is_kept() -> None:
    assert Pixels((48, 64), "crop", 0.5).to_json() == {
        "size": [48, 64],
        "resize": "crop",
        "crop_share": 0.5,
        "orientation": "exif",
        "depth": "scale",
        "background": "white",
    }
    assert Pixels((8, 8), crop_share=0.5).to_json() == Pixels((8, 8)).to_json()
