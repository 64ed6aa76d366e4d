"""A trained network for other tools: `python -m jaxsnn.lab.export --run=runs/mnist_lenet_small --format=nir`.

Writes `<network>.<format>` into the run folder, or `--output`. `nir`: a graph, which snnTorch, Norse, SpikingJelly,
sinabs, Lava, Rockpool and spyx read; a network that it cannot hold is refused by the name of the layer (extra `nir`).
`safetensors`: the weights by parameter path. `jaxsnn`: programs that run with jax alone (extra `export`). See
`jaxsnn.interchange`.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags

from jaxsnn import files, interchange, models, training
from jaxsnn.data import Dataset
from jaxsnn.lab import run_folder
from jaxsnn.lab.build import build, make_model, restore
from jaxsnn.lab.command import command, define_run_flags
from jaxsnn.lab.config import Config
from jaxsnn.lab.results import scores
from jaxsnn.lab.splits import load_data
from jaxsnn.lab.stored import opened

Write = Callable[[Config, models.Network, Any, Any, Path, float], object]
"""`(config, model, params, model_state, file, seconds of a time step)`."""


def _nir(config: Config, model: models.Network, params: Any, model_state: Any, path: Path, dt: float) -> None:
    try:
        import nir
    except ImportError as error:
        raise ValueError("NIR needs the package nir: pip install 'jaxsnn-lab[nir]'") from error
    graph = interchange.to_nir(model, params, model_state, dt=dt)
    content = io.BytesIO()  # HDF5 reads what it writes, which a new file does not allow
    nir.write(content, graph)
    files.write_whole(path, content.getvalue())


def _facts(config: Config) -> dict[str, Any]:
    """The facts of the input, without which a network cannot be run."""
    fields = ("dataset", "mean", "std", "encoding", "gain", "time_steps", "readout")
    return {name: value for name, value in config.flat().items() if name in fields}


def _weights(config: Config, model: models.Network, params: Any, model_state: Any, path: Path, dt: float) -> None:
    interchange.save_weights(path, model, params, model_state, input=json.dumps(_facts(config)))


def _programs(config: Config, model: models.Network, params: Any, model_state: Any, path: Path, dt: float) -> None:
    facts = _facts(config)
    interchange.save_artifact(path, model, params, model_state, steps=facts.pop("time_steps"), **facts)


FORMATS: dict[str, Write] = {"nir": _nir, "safetensors": _weights, "jaxsnn": _programs}
"""Name of a format, which is the ending of its files, to its writer."""


def export(
    folder: Path,
    format: str,
    *,
    network: str = "",
    which: str = "selected",
    output: str = "",
    dt: float = 1e-3,
    data_dir: str = "",
    cache_dir: str = "",
) -> Path:
    """Writes one network of a run folder to a file, and returns its path.

    Args:
      folder: the run folder.
      format: key of `FORMATS`.
      network: name of the run in it, e.g. "seed1"; empty for the first.
      which: "selected", the epoch with the best validation accuracy, or "last".
      output: the file; empty for `<network>.<format>` in the folder.
      dt: seconds of one time step.
      data_dir, cache_dir: where the data is now; empty for your own default.

    Raises:
      ValueError, OSError: if the folder holds no such network, or the format cannot hold it; nothing is written then.
      CheckpointError: if a checkpoint is missing or damaged.
    """
    config = opened(run_folder.read_config(folder), data_dir=data_dir, cache_dir=cache_dir)
    named = {run.name: run for run in run_folder.runs(config)}
    run = named.get(network or next(iter(named)))
    if run is None:
        raise ValueError(f"{folder} has no network {network!r}: it has {', '.join(named)}")
    data = load_data(config)
    state = _state(config, data, folder, run, which)
    path = Path(output) if output else folder / f"{run.name}.{format}"
    FORMATS[format](config, make_model(config, data, run.seed), *state.weights, path, dt)
    print(f"wrote {path}: {config.network.model} after step {int(state.step)}")
    return path


def _state(config: Config, data: Dataset, folder: Path, run: run_folder.Run, which: str) -> training.TrainState:
    rows = training.MetricsFile(folder / run.name / "metrics.jsonl").read()
    if not any("test_accuracy" in row for row in rows):
        raise ValueError(f"{folder / run.name} has no evaluated epoch yet: let the training go on with --resume")
    step = scores(run, rows, 0.0)["selected_step"] if which == "selected" else None
    return restore(build(config, data), run.seed, folder / run.name, step)


def main() -> None:
    """Parses flags and writes."""
    define_run_flags()
    flags.DEFINE_enum("format", "nir", list(FORMATS), "Format of the file.")
    flags.DEFINE_string("network", "", "Which network of the folder, e.g. seed1; empty for the first.")
    flags.DEFINE_enum(
        "which", "selected", ["selected", "last"], "Epoch with the best validation accuracy, or the last."
    )
    flags.DEFINE_string("output", "", "The file; empty for <network>.<format> in the run folder.")
    flags.DEFINE_float("dt", 1e-3, "Seconds of one time step.")

    def run() -> None:
        given = flags.FLAGS
        names = ("format", "network", "which", "output", "dt", "data_dir", "cache_dir")
        with run_folder.looking(given.run, figures=False) as folder:
            export(folder, **{name: getattr(given, name) for name in names})

    command(run)


if __name__ == "__main__":
    main()
