"""Pictures as arrays: one file, or folders `<class>/<name>.png`, read with Pillow."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from jaxsnn.data import cache
from jaxsnn.data.arrays import TEST_PART, from_arrays
from jaxsnn.data.dataset import DataNotFoundError, Dataset, InMemory, Split, held

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp")
PARTS = ("train", "test")
AT_ONCE = 64
"""Pictures that are decoded before they are written into the cache."""


def read(path: Path, *, size: int = 0, channels: int = 0) -> np.ndarray:
    """One picture, uint8 `[H, W, C]`, turned as its EXIF orientation says, transparency on black.

    Args:
      path: the file. Grey of 16 bits is scaled to 8 (divided by 257); colours of a palette are looked up.
      size: resize to this many pixels a side (bilinear); 0: leave it as it is.
      channels: C, 1 (grey: the luma of ITU-R 601) or 3; 0: 1 of a grey picture and 3 of one in colour.

    Raises:
      DataNotFoundError: there is no such file.
      ValueError: it is damaged, or no picture.
    """
    with _opened(path) as opened:
        picture = _on_black(ImageOps.exif_transpose(opened))
    if channels:
        picture = picture.convert("L" if channels == 1 else "RGB")
    if size:
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(picture)
    return pixels[..., None] if pixels.ndim == 2 else pixels


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A picture of which the header was read; raises as `read`."""
    try:
        with Image.open(path) as opened:
            yield opened
    except FileNotFoundError as error:
        raise DataNotFoundError(f"there is no picture {path}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is damaged or no picture ({error}): repair or remove it") from error


def _in_colour(path: Path) -> bool:
    """Whether `read` makes three channels of it; its pixels are not decoded."""
    with _opened(path) as opened:
        return not opened.mode.startswith("I") and opened.mode not in ("1", "L", "LA")


def _on_black(picture: Image.Image) -> Image.Image:
    """The picture as 8-bit grey or RGB."""
    if picture.mode.startswith("I"):  # Pillow's own conversion cuts 16 bits off at 255
        wide = np.asarray(picture, np.float64)
        return Image.fromarray(np.rint(np.clip(wide / 257, 0, 255)).astype(np.uint8))
    if picture.mode.endswith("A") or "transparency" in picture.info:
        grey = picture.mode in ("1", "L", "LA")
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, (0, 0, 0, 255)), picture)
        return picture.convert("L" if grey else "RGB")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


def files(folder: Path, endings: Sequence[str] = ENDINGS) -> list[Path]:
    """The pictures below a folder, by their endings, sorted; hidden files and folders are left out."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in endings and path.is_file())
    return sorted(path for path in found if not any(p.startswith(".") for p in path.relative_to(folder).parts))


def load(folder: Path, *, size: int = 0, cache_dir: Path | None = None, in_memory: InMemory = True) -> Dataset:
    """Pictures `<folder>/<class>/<name>.png` (.jpg, .jpeg, .bmp), or `<folder>/train/<class>/...` and `test`.

    Args:
      folder: where they are. Without `test`, a fifth of every class is tested on, always the same.
      size: resize to this many pixels a side; 0: all must have one size.
      cache_dir: folder that keeps the decoded pictures, so that they are decoded once; None for none.
      in_memory: as of `data.load`; pictures that are not in memory are in the cache.

    Returns:
      The set, images uint8 `[N, H, W, C]`, with 3 channels if any picture has colours.

    Raises:
      DataNotFoundError: the folder is not there.
      ValueError: there are no pictures in folders of classes, one of them is damaged, or sizes differ.
    """
    if not folder.is_dir():
        raise DataNotFoundError(f"there is no folder {folder}: give the folder that holds one folder for each class")
    parted = [name for name in PARTS if _folders(folder / name)]  # train may be a class too, with pictures in it
    if parted and (parted == ["test"] or not {path.name for path in _folders(folder)} <= {*PARTS}):
        inside = ", ".join(path.name for path in _folders(folder))
        raise ValueError(f"{folder} has the folders {inside}: expected train and test alone, or classes alone")
    splits = [_labelled(folder / part) for part in parted or [""]]
    paths = [path for split in splits for path, _ in split]
    pairs = []
    for number, split in enumerate(splits):
        place = None
        if cache_dir is not None:  # all pictures of all parts are in the name: one in colour gives all three channels
            place = cache_dir / f"pictures-{cache.digest(folder, paths, repr((size, number)).encode())}.npz"
        samples = cache.fetch(place, partial(_decoded, [path for path, _ in split], paths, size)).samples
        pairs.append((samples, [label for _, label in split]))
    return held(from_arrays(pairs[0], pairs[1] if len(pairs) > 1 else None, test_part=TEST_PART), in_memory)


def _decoded(files: list[Path], every: list[Path], size: int) -> cache.Parts:
    """The pictures of some files, in parts that are decoded as they are asked for; alike to `every` picture."""

    def each() -> Iterator[Split]:
        channels, first = 3 if any(map(_in_colour, every)) else 1, every[0]
        shape = read(first, size=size, channels=channels).shape
        for begin in range(0, len(files), AT_ONCE):
            pictures = []
            for path in files[begin : begin + AT_ONCE]:
                pictures.append(read(path, size=size, channels=channels))
                _check_size(path, pictures[-1].shape, first, shape)
            yield Split(np.stack(pictures), np.zeros(len(pictures), np.int32))

    return cache.Parts(len(files), each())


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _labelled(folder: Path) -> list[tuple[Path, str]]:
    """Pictures in the folders of classes, with the name of the class."""
    found = [(path, of.name) for of in _folders(folder) for path in files(of)]
    if not found:
        raise ValueError(
            f"{folder} has no pictures in folders of classes: expected <class>/<name> with one of {', '.join(ENDINGS)}"
        )
    return found


def _check_size(path: Path, shape: tuple[int, ...], first: Path, expected: tuple[int, ...]) -> None:
    if shape != expected:
        (height, width), (first_height, first_width) = shape[:2], expected[:2]
        raise ValueError(
            f"pictures vary in size: {first} has {first_width} x {first_height} pixels, {path} {width} x "
            f"{height}: give --size=32 (pixels a side) to resize all of them"
        )
