"""Prediction: the class of pictures or arrays, by a trained network of a run folder, a file, or this package.

    python -m jaxsnn.lab.predict --run=runs/own cat.png dog.png
    python -m jaxsnn.lab.predict --run=runs/own --output=answers.csv folder_of_pictures
    python -m jaxsnn.lab.predict --pretrained=mnist_lenet digit.png

One file gives a sentence; several, a folder or `--output` give CSV.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags

from jaxsnn import files, pretrained
from jaxsnn.data import Binning, DataNotFoundError, events, formats, pictures
from jaxsnn.data.arrays import OWN
from jaxsnn.data.recordings import on_sensor
from jaxsnn.encoding import ENCODINGS
from jaxsnn.lab.command import command
from jaxsnn.lab.trained import Prediction, Trained, load_run

COLUMNS = ("file", "class", "confidence", "spikes", "steps", "energy_pj")


def read(trained: Trained, path: Path) -> np.ndarray:
    """The sample in a picture, in a recording of events, or in a `.npy` file of one sample.

    Grey becomes colour and colour grey as the network needs it; transparency goes onto black, 16 bits become 8. A
    picture of another size is resized if the run's pictures were (`--size`), and refused otherwise. A recording is
    binned as the run's were.

    Raises:
      DataNotFoundError: if there is no such file.
      ValueError: if it is damaged, or no sample of the network's shape.
    """
    shape, dtype = trained.shape, trained.outline.train.samples.dtype
    frames = ENCODINGS[trained.config.network.encoding].frames
    recorded = frames and len(shape) == 4 and path.suffix.lower() in formats.suffixes()
    if (recorded or path.suffix.lower() == ".npy") and not path.exists():
        raise DataNotFoundError(f"there is no file {path}")
    if recorded and not _is_sample(path):
        return _binned(trained, path)
    if path.suffix.lower() == ".npy":
        try:
            sample = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(f"{path} cannot be read as a .npy file ({error})") from error
        if sample.shape not in (shape, shape[:-1] if shape[-1] == 1 else shape):
            raise ValueError(f"{path}: expected one sample {list(shape)}, got {list(sample.shape)}")
        return sample
    if frames or len(shape) != 3 or shape[-1] not in (1, 3) or dtype != np.uint8:
        raise ValueError(
            f"{path} is not what the network takes, {dtype} {list(shape)}{', frames of events' * frames}: give it as a "
            f"{'recording (' + ', '.join(formats.suffixes()) + ') or a ' if frames and len(shape) == 4 else ''}.npy "
            "file, or use lab.load_run(...).predict(samples)"
        )
    config = trained.config.data
    pixels = pictures.read(path, size=config.size if config.dataset == OWN else 0, channels=shape[-1])
    if pixels.shape != shape:
        (height, width), (high, wide) = pixels.shape[:2], shape[:2]
        raise ValueError(f"{path} has {width} x {height} pixels, expected {wide} x {high}: resize it first")
    return pixels


def _is_sample(path: Path) -> bool:
    """Whether a file holds an array of numbers, not a recording: its entries have no fields."""
    if path.suffix.lower() != ".npy":
        return False
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False).dtype.names is None
    except (OSError, ValueError, EOFError):
        return False  # whoever reads it says so


def _binned(trained: Trained, path: Path) -> np.ndarray:
    """The frames of a recording, of the part of the sensor and the bins of the run."""
    _, height, width, _ = trained.shape
    binning = Binning.of(trained.config.network.time_steps, **trained.config.data.event_options(""))
    recording = formats.read(path)
    sensor = (height * binning.downsample, width * binning.downsample)
    if crop := binning.crop:  # of a sensor whose size the run does not tell
        ends = crop[0] + crop[2], crop[1] + crop[3]
        lowest, rightmost = (int(recording[name].max(initial=0)) + 1 for name in "yx")
        sensor = (max(ends[0], lowest), max(ends[1], rightmost))
    return events.frames(on_sensor(recording, str(path), sensor), size=sensor, **binning._asdict())


def predict(trained: Trained, paths: Sequence[str], *, table: bool = False) -> str:
    """The answers to files: a sentence for one file, else CSV with `COLUMNS`.

    Args:
      trained: from `load_run`.
      paths: pictures, recordings or `.npy` files, or folders of them.
      table: CSV also for one.

    Raises:
      ValueError, OSError: as `read`, or if there is no file.
    """
    frames = ENCODINGS[trained.config.network.encoding].frames
    endings = formats.suffixes() if frames else pictures.ENDINGS
    found = [file for path in paths for file in _files(Path(path), endings)]
    if not found:
        what = "recordings" if frames else "pictures"
        raise ValueError(
            f"there is nothing to predict: give {what} ({', '.join(endings)}), .npy files, or folders of {what}"
        )
    answers = trained.predict(np.stack([read(trained, path).reshape(trained.shape) for path in found]))
    if len(found) == 1 and not Path(paths[0]).is_dir() and not table:
        return f"{found[0]}: {_sentence(answers[0], trained.config.network.time_steps)}\n"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for path, a in zip(found, answers, strict=True):
        writer.writerow(
            [path, a.name, f"{a.confidence:.4f}", a.spikes, a.steps, None if a.energy is None else f"{a.energy:.1f}"]
        )
    return text.getvalue()


def _files(path: Path, endings: Sequence[str]) -> list[Path]:
    return pictures.files(path, endings) if path.is_dir() else [path]


def _sentence(answer: Prediction, steps: int) -> str:
    said = f"{answer.name}, confidence {answer.confidence:.1%}"
    if answer.energy is None:
        return said
    return (
        f"{said}, {answer.spikes:,} spikes, sure after {answer.steps} of {steps} steps, {answer.energy / 1000:.2f} nJ"
    )


def main() -> None:
    """Parses flags, predicts, prints or writes."""
    flags.DEFINE_string("run", "", "Folder of the run.")
    what = f"Instead of a run: {', '.join(pretrained.names())}, or a .safetensors file that an export wrote."
    flags.DEFINE_string("pretrained", "", what)
    flags.DEFINE_string("network", "", "Which network of the folder, e.g. seed1; empty for the first.")
    flags.DEFINE_enum(
        "which", "selected", ["selected", "last"], "Epoch with the best validation accuracy, or the last."
    )
    flags.DEFINE_string("output", "", "A file for the answers, as CSV; empty to print them.")

    def run(paths: Sequence[str]) -> None:
        given = flags.FLAGS
        if bool(given.run) == bool(given.pretrained):
            raise ValueError("give the network, by --run=<folder> or by --pretrained=<name or file>")
        trained = (
            pretrained.load(given.pretrained)
            if given.pretrained
            else load_run(given.run, network=given.network, which=given.which)
        )
        text = predict(trained, paths, table=bool(given.output))
        if given.output:
            print(f"wrote {files.write_whole(Path(given.output), text)}")
        else:
            print(text, end="")

    command(run, arguments=True)


if __name__ == "__main__":
    main()
