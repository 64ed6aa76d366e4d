"""Official archives: verified by their checksum and unpacked into the cache, once."""

import hashlib
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxsnn.data.recordings import find as find_folder


class Archive(NamedTuple):
    """A zip file as it is published."""

    name: str
    md5: str


def find(
    name: str, data_dir: Path, folders: Sequence[str], archives: Mapping[str, Archive], cache_dir: Path, origin: str
) -> dict[str, Path]:
    """The files or folders of a set, unpacked from its archives where only these are there.

    Args:
      name: of the set.
      data_dir, folders: see `recordings.find`.
      archives: name of a file or folder to the archive that holds it.
      cache_dir: where archives are unpacked.
      origin: where the set is published, for errors.

    Raises:
      DataNotFoundError: neither the entries nor their archives are in one of the folders.
      ValueError: an archive is not the published one.
    """
    for place in (data_dir / folder for folder in folders):
        if all((place / entry).exists() or (place / archive.name).is_file() for entry, archive in archives.items()):
            return {
                entry: place / entry
                if (place / entry).exists()
                else unpack(place / archive.name, archive.md5, entry, cache_dir / name)
                for entry, archive in archives.items()
            }
    place = find_folder(name, data_dir, folders, tuple(archives), origin)
    return {entry: place / entry for entry in archives}


def unpack(file: Path, md5: str, entry: str, folder: Path) -> Path:
    """Unpacks one entry of an archive into `<folder>/<md5>`, if it is not there; returns the entry's path.

    Raises:
      ValueError: the archive has another checksum, or does not hold the entry.
      OSError: it cannot be unpacked there.
    """
    place = folder / md5
    if not (place / entry).exists():
        check(file, md5)
        unfinished = folder / f"{md5}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        with zipfile.ZipFile(file) as archive:
            archive.extractall(unfinished)
        if not (unfinished / entry).exists():
            raise ValueError(f"{file} holds no {entry}: download it again")
        unfinished.rename(place)
    return place / entry


def check(file: Path, md5: str) -> None:
    """Checks a file against its published checksum.

    Raises:
      ValueError: it is another file.
    """
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "md5").hexdigest()
    if found != md5:
        raise ValueError(
            f"{file} is damaged, or not the published file: its md5 is {found}, expected {md5}. Download it again"
        )
