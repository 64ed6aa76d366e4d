"""Pictures as arrays: one file, or folders `<class>/<name>.png`, read with Pillow."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from jaxsnn.data.arrays import TEST_PART, from_arrays
from jaxsnn.data.dataset import DataNotFoundError, Dataset

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp")
PARTS = ("train", "test")


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
    try:
        with Image.open(path) as opened:
            picture = _on_black(ImageOps.exif_transpose(opened))
    except FileNotFoundError as error:
        raise DataNotFoundError(f"there is no picture {path}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is damaged or no picture ({error}): repair or remove it") from error
    if channels:
        picture = picture.convert("L" if channels == 1 else "RGB")
    if size:
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(picture)
    return pixels[..., None] if pixels.ndim == 2 else pixels


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


def files(folder: Path) -> list[Path]:
    """The pictures below a folder, by their endings, sorted; hidden files and folders are left out."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    return sorted(path for path in found if not any(p.startswith(".") for p in path.relative_to(folder).parts))


def load(folder: Path, *, size: int = 0) -> Dataset:
    """Pictures `<folder>/<class>/<name>.png` (.jpg, .jpeg, .bmp), or `<folder>/train/<class>/...` and `test`.

    Args:
      folder: where they are. Without `test`, a fifth of every class is tested on, always the same.
      size: resize to this many pixels a side; 0: all must have one size.

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
    pictures = [[read(path, size=size) for path, _ in split] for split in splits]
    channels = max(pixels.shape[-1] for split in pictures for pixels in split)
    _check_sizes([path for split in splits for path, _ in split], [pixels for split in pictures for pixels in split])
    pairs = [
        (
            np.stack([np.broadcast_to(pixels, (*pixels.shape[:2], channels)) for pixels in some]),
            [label for _, label in split],
        )
        for some, split in zip(pictures, splits, strict=True)
    ]
    return from_arrays(pairs[0], pairs[1] if len(pairs) > 1 else None, test_part=TEST_PART)


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


def _check_sizes(paths: list[Path], pictures: list[np.ndarray]) -> None:
    for path, pixels in zip(paths, pictures, strict=True):
        (height, width), (first_height, first_width) = pixels.shape[:2], pictures[0].shape[:2]
        if (height, width) != (first_height, first_width):
            raise ValueError(
                f"pictures vary in size: {paths[0]} has {first_width} x {first_height} pixels, {path} {width} x "
                f"{height}: give --size=32 (pixels a side) to resize all of them"
            )
