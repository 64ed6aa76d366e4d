"""A trained network for other tools: `python -m jaxsnn.lab.export --run=runs/mnist_lenet_small --format=nir`.

Writes `<network>.<format>` into the run folder, or `--output`. `nir`: a graph, which snnTorch, Norse, SpikingJelly,
sinabs, Lava, Rockpool and spyx read; a network that it cannot hold is refused by the name of the layer (extra `nir`).
`safetensors`: the weights by parameter path, and all that is needed to run them (`jaxsnn.pretrained.load`); `--half`
rounds them to float16. `jaxsnn`: programs that run with jax alone (extra `export`). See `jaxsnn.interchange`.
"""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags

from jaxsnn import files, interchange, models, training
from jaxsnn.data import Dataset
from jaxsnn.lab import fingerprints, run_folder, trained
from jaxsnn.lab.build import Program, build, make_model
from jaxsnn.lab.command import command, define_run_flags
from jaxsnn.lab.config import Config
from jaxsnn.lab.environment import portable
from jaxsnn.lab.results import restored
from jaxsnn.lab.splits import load_data, split
from jaxsnn.lab.stored import opened


class Network(NamedTuple):
    """A trained network on its way to a file."""

    config: Config
    model: models.Network
    params: Any
    model_state: Any
    sample: Mapping[str, Any]
    """Shape, type and classes of its samples, `fingerprints.SAMPLE`."""
    facts: Mapping[str, Any]
    """Its accuracy, and the environment of its training."""
    dt: float
    """Seconds of a time step."""
    half: bool
    """Parameters are rounded to float16."""


Write = Callable[[Network, Path], object]


def _nir(network: Network, path: Path) -> None:
    try:
        import nir
    except ImportError as error:
        raise ValueError("NIR needs the package nir: pip install 'jaxsnn-lab[nir]'") from error
    graph = interchange.to_nir(network.model, network.params, network.model_state, dt=network.dt)
    content = io.BytesIO()  # HDF5 reads what it writes, which a new file does not allow
    nir.write(content, graph)
    files.write_whole(path, content.getvalue())


def _weights(network: Network, path: Path) -> None:
    trained.write(
        path,
        network.config,
        network.params,
        network.model_state,
        network.sample,
        network.facts,
        half=network.half,
    )


def _programs(network: Network, path: Path) -> None:
    fields = ("dataset", "mean", "std", "encoding", "gain", "readout")  # the input, without which it cannot be run
    facts = {name: value for name, value in network.config.flat().items() if name in fields}
    steps = network.config.network.time_steps
    interchange.save_artifact(path, network.model, network.params, network.model_state, steps=steps, **facts)


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
    half: bool = False,
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
      half: of safetensors, parameters are rounded to float16, and the accuracy is measured with them.
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
    if half and format != "safetensors":
        raise ValueError(f"half is for safetensors, got format={format}")
    data = load_data(config)
    program = build(config, data)
    state, found = restored(program, run, folder, which)
    of = "selected_" if which == "selected" else ""
    params, model_state = state.weights
    accuracy = found[f"{of}test_accuracy"] if not half else _rounded_accuracy(config, data, program, state)
    starts = run_folder.environments(folder)
    facts = {"test_accuracy": accuracy, "epoch": found[f"{of}epoch"], "chosen_by": "validation" if of else "last epoch"}
    exported = Network(
        config.replace(seed=run.seed),
        make_model(config, data, run.seed),
        params,
        model_state,
        next(iter(fingerprints.sums(data).values()))[fingerprints.SAMPLE],
        facts | (starts[-1] | {"command": portable(starts[-1]["command"])} if starts else {}),
        dt,
        half,
    )
    path = Path(output) if output else folder / f"{run.name}.{format}"
    FORMATS[format](exported, path)
    print(f"wrote {path}: {config.network.model} after step {int(state.step)}, test accuracy {100 * accuracy:.2f} %")
    return path


def _rounded_accuracy(config: Config, data: Dataset, program: Program, state: training.TrainState) -> float:
    """On the test set, with parameters that were rounded to float16."""
    params, model_state = state.weights
    rounded = jax.tree.map(lambda x: np.asarray(x).astype(np.float16).astype(x.dtype), params)
    state = state._replace(params=rounded, model_state=model_state, average=None)
    return float(program.evaluate(state, *split(config, data).test).accuracy[-1])


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
    flags.DEFINE_bool("half", False, "Of safetensors: round parameters to float16, and measure the accuracy anew.")

    def run() -> None:
        given = flags.FLAGS
        names = ("format", "network", "which", "output", "dt", "half", "data_dir", "cache_dir")
        with run_folder.looking(given.run, figures=False) as folder:
            export(folder, **{name: getattr(given, name) for name in names})

    command(run)


if __name__ == "__main__":
    main()
