"""One's own files: folders of pictures, and .npz."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxsnn.data import DataNotFoundError, paths, pictures

GREY = np.random.default_rng(0).integers(0, 256, (6, 4), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 4, 3), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("ending", pictures.ENDINGS)
def test_grey_and_colour(tmp_path, ending):
    """JPEG is lossy, so its pixels are compared with those of Pillow."""
    for pixels, channels in ((GREY, 1), (COLOUR, 3)):
        path = save(tmp_path / f"a{ending}", pixels)
        with Image.open(path) as opened:
            expected = np.asarray(opened).reshape(6, 4, channels)
        if ending in (".png", ".bmp"):
            np.testing.assert_array_equal(expected, pixels.reshape(6, 4, channels))
        np.testing.assert_array_equal(pictures.read(path), expected)


def test_alpha_is_dropped_onto_black(tmp_path):
    alpha = np.arange(24, dtype=np.uint8).reshape(6, 4, 1) * 11
    expected = COLOUR * (alpha / 255)
    found = pictures.read(save(tmp_path / "a.png", np.concatenate([COLOUR, alpha], -1)))
    assert found.shape == (6, 4, 3)
    assert np.abs(found - expected).max() <= 1
    found = pictures.read(save(tmp_path / "b.png", np.stack([GREY, alpha[..., 0]], -1)))
    assert found.shape == (6, 4, 1)
    assert np.abs(found - GREY[..., None] * (alpha / 255)).max() <= 1


def test_sixteen_bits_are_scaled(tmp_path):
    """Not cut off at 255, as Pillow does."""
    wide = np.array([[0, 128, 257], [32896, 65535, 300]], np.uint16)
    found = pictures.read(save(tmp_path / "a.png", wide))[..., 0]
    np.testing.assert_array_equal(found, [[0, 0, 1], [128, 255, 1]])


def test_palettes_and_orientation(tmp_path):
    Image.fromarray(COLOUR // 128 * 255).convert("P").save(tmp_path / "a.png")
    np.testing.assert_array_equal(pictures.read(tmp_path / "a.png"), COLOUR // 128 * 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    found = pictures.read(save(tmp_path / "b.png", GREY, exif=exif))[..., 0]
    np.testing.assert_array_equal(found, np.rot90(GREY, -1))


def test_size_and_channels(tmp_path):
    path = save(tmp_path / "a.png", COLOUR)
    luma = np.rint(COLOUR @ [0.299, 0.587, 0.114])
    assert np.abs(pictures.read(path, channels=1)[..., 0] - luma).max() <= 1
    assert pictures.read(path, size=8).shape == (8, 8, 3)
    grey = pictures.read(save(tmp_path / "b.png", GREY), channels=3)
    np.testing.assert_array_equal(grey, GREY[..., None].repeat(3, -1))


def test_a_folder_of_classes(tmp_path):
    """A picture in colour makes all have three channels; hidden files and other files are no pictures."""
    for name, count in (("cat", 5), ("dog", 10), ("train", 2)):
        for i in range(count):
            save(tmp_path / name / f"{i}.png", COLOUR if (name, i) == ("dog", 0) else GREY + i)
    (tmp_path / "cat" / "notes.txt").write_text("no picture", encoding="utf-8")
    (tmp_path / "cat" / "._1.png").write_bytes(b"a resource fork")
    data = paths.load(tmp_path)
    assert pictures.load(tmp_path).train.samples.shape == data.train.samples.shape
    assert (data.classes, data.train.samples.shape, data.test.samples.shape) == (
        ("cat", "dog", "train"),
        (13, 6, 4, 3),
        (4, 6, 4, 3),
    )
    assert np.bincount(data.test.labels).tolist() == [1, 2, 1]
    assert sum((image == COLOUR).all() for part in (data.train, data.test) for image in part.samples) == 1


def test_folders_train_and_test(tmp_path):
    for part, count in (("train", 3), ("test", 1)):
        for name in ("a", "b"):
            for i in range(count):
                save(tmp_path / part / name / f"{i}.png", GREY)
    data = paths.load(tmp_path)
    assert (data.train.labels.tolist(), data.test.labels.tolist()) == ([0, 0, 0, 1, 1, 1], [0, 1])
    save(tmp_path / "validation" / "a" / "0.png", GREY)
    with pytest.raises(ValueError, match="has the folders test, train, validation: expected train and test alone"):
        paths.load(tmp_path)


def test_bad_folders(tmp_path):
    with pytest.raises(DataNotFoundError, match="there is no .*nowhere: give a .npz file or a folder"):
        paths.load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no pictures in folders of classes: expected <class>/<name>"):
        paths.load(tmp_path)
    first, second = save(tmp_path / "a" / "0.png", GREY), save(tmp_path / "b" / "0.png", GREY[:5])
    with pytest.raises(ValueError, match=f"{first} has 4 x 6 pixels, {second} 4 x 5: give --size=32"):
        paths.load(tmp_path)
    save(tmp_path / "b" / "1.png", GREY)
    save(tmp_path / "a" / "1.png", GREY)
    assert paths.load(tmp_path, size=8).train.samples.shape == (2, 8, 8, 1)
    for content in (b"", b"no picture", first.read_bytes()[:40]):
        second.write_bytes(content)
        with pytest.raises(ValueError, match=f"{second} is damaged or no picture"):
            paths.load(tmp_path)


def test_npz(tmp_path):
    path, y = tmp_path / "own.npz", np.array(["no", "yes"] * 5)
    x = np.arange(120, dtype=np.uint8).reshape(10, 4, 3)
    np.savez(path, x_train=x, y_train=y, x_test=x[:2], y_test=y[:2])
    data = paths.load(path)
    assert (data.classes, data.train.samples.shape, data.test.samples.shape) == (
        ("no", "yes"),
        (10, 4, 3, 1),
        (2, 4, 3, 1),
    )
    np.savez_compressed(path, x=x.astype(np.float32), y=y)
    data = paths.load(path)
    assert (data.train.samples.shape, data.test.samples.shape) == ((8, 4, 3), (2, 4, 3))
    with pytest.raises(ValueError, match="size=8 is for folders of pictures"):
        paths.load(path, size=8)
    np.savez(path, images=x, y=y)
    with pytest.raises(ValueError, match="arrays images, y, expected x_train, y_train, x_test, y_test, or x, y"):
        paths.load(path)
    np.savez(path, x=x, y=y.astype(object))
    with pytest.raises(ValueError, match="cannot be read as a .npz file of plain arrays"):
        paths.load(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="cannot be read as a .npz file of plain arrays"):
        paths.load(path)
