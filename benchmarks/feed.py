"""What does it cost that samples stay on the host, in a file, and go to the device step by step?

    python -m benchmarks.feed --preset=cifar10_fast --samples=50000 --epochs=3
    python -m benchmarks.feed --side=128 --samples=4096 --batch=64             # 49 kB a sample

Trains a preset of experiments/cifar10.py on random pictures, resident and streamed by turns, `--repeats` times each,
and states images per second of the epochs after the first. Reads the file alone, too: in the order of an epoch, without
a device. Pages of the file are warm: what is measured is the way, not the disk. Appends to
benchmarks/results/<device>/feed.jsonl.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks import common
from experiments import cifar10
from jaxsnn import training
from jaxsnn.data import Dataset, Split
from jaxsnn.lab import build
from jaxsnn.lab.config import Config
from jaxsnn.lab.devices import put_samples


def config_of(preset: str, batch: int) -> Config:
    """The preset with nothing held out and no early end of a dispatch."""
    config = cifar10.PRESETS[preset]()
    return config.replace(batch_size=batch or config.training.batch_size, validation=1, limit=0, short_epochs=0)


def epochs(config: Config, data: Dataset, count: int, *, stream: bool) -> float:
    """Images per second of the epochs after the first."""
    chosen = np.arange(1, len(data.train.labels))
    program = build.build(config, data)
    sets = put_samples(config, *data.train, chosen, num_classes=data.num_classes, stream=stream)
    metrics = training.MetricsList()
    training.fit(
        program.start(0),
        program.step,
        sets,
        batch_size=config.training.batch_size,
        epochs=count,
        metrics=metrics,
        log_every=config.training.log_every,
        steps_per_dispatch=config.training.steps_per_dispatch,
        progress=False,
    )
    rows = [row for row in metrics.rows if row["kind"] == "epoch" and row["epoch"] > 1]
    return statistics.median(row["images_per_second"] for row in rows)


def reading(samples: Any, batch: int) -> float:
    """Images per second of the thread that reads, in the order of an epoch."""
    order = np.random.default_rng(0).permutation(len(samples))
    kept, began = training.OnHost(samples), time.perf_counter()
    steps = len(order) // batch
    for numbers in order[: steps * batch].reshape(steps, 1, batch):
        kept.read(numbers, 1)
    return steps * batch / (time.perf_counter() - began)


def measure(config: Config, samples: int, side: int, count: int, repeats: int, folder: Path) -> dict[str, Any]:
    """Resident and streamed by turns."""
    rng = np.random.default_rng(0)
    np.save(folder / "x.npy", rng.integers(0, 256, (samples, side, side, 3), dtype=np.uint8))
    images: Any = np.load(folder / "x.npy", mmap_mode="r")
    labels = np.arange(samples, dtype=np.int32) % 10
    data = Dataset("random", Split(images, labels), Split(images[:1], labels[:1]), 10)
    found: dict[bool, list[float]] = {False: [], True: []}
    for stream in [False, True] * repeats:
        found[stream].append(epochs(config, data, count, stream=stream))
    resident, streamed = (statistics.median(found[stream]) for stream in (False, True))
    return {
        "resident_images_per_s": round(resident, 1),
        "streamed_images_per_s": round(streamed, 1),
        "streamed_part": round(streamed / resident, 3),
        "read_images_per_s": round(reading(images, config.training.batch_size), 1),
        "sample_kb": side * side * 3 / 1e3,
        "repeats": repeats,
    }


def main() -> None:
    """Measures, prints, and appends to the results."""
    parser = common.parser(__doc__)
    parser.add_argument("--preset", default="cifar10_fast", choices=list(cifar10.PRESETS), help="what is trained")
    parser.add_argument("--samples", type=int, default=50000, help="pictures")
    parser.add_argument("--side", type=int, default=32, help="pixels a side")
    parser.add_argument("--batch", type=int, default=0, help="batch size; 0 for that of the preset")
    parser.add_argument("--epochs", type=int, default=3, help="of each run; the first is not counted")
    parser.add_argument("--repeats", type=int, default=3, help="runs of either kind")
    flags = parser.parse_args()
    config = config_of(flags.preset, flags.batch)
    with tempfile.TemporaryDirectory() as folder, jax.numpy_dtype_promotion("standard"):
        result = measure(config, flags.samples, flags.side, flags.epochs, flags.repeats, Path(folder))
    options = {"samples": flags.samples, "side": flags.side, "batch": config.training.batch_size}
    row = common.row("feed", flags.preset, "jaxsnn", options, result)
    print(json.dumps(row, indent=2))
    if flags.write:
        common.append([row])


if __name__ == "__main__":
    main()
