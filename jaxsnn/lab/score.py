"""The accuracy of a network from another tool: a NIR graph on a data set, with the input that flags describe.

    python -m jaxsnn.lab.score --graph=cnn_sinabs.nir --dt=1 --reset_by=subtract --dataset=nmnist --encoding=events \
        --time_steps=300 --data_dir=... [--part=test]

All flags of data and input are those of a training; those of the network are left alone, for the graph is the network.
The answer is the mean of the last layer's output over time. `--out=score.json` keeps accuracy and confusion matrix in a
file. Needs the extra `nir`.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import optax
from absl import flags

from jaxsnn import files, models, training
from jaxsnn.lab import run_folder
from jaxsnn.lab.command import Presets, command, define_flags, from_flags
from jaxsnn.lab.config import Config
from jaxsnn.lab.environment import environment
from jaxsnn.lab.inputs import input_shape, make_prepare
from jaxsnn.lab.splits import load_data


def plain() -> Config:
    """The embedded digits as Poisson spikes, T = 16."""
    return Config.of(dataset="digits", time_steps=16)


PRESETS: Presets = {"plain": plain}


def score(config: Config, graph: Any, *, dt: float | None, reset: str, part: str) -> dict[str, Any]:
    """Runs a graph on every sample of a part of the data.

    Args:
      config: data, encoding and number of time steps.
      graph: a `nir.NIRGraph` or the path of one.
      dt, reset: as in `interchange.from_nir`.
      part: "train" or "test".

    Returns:
      The number of samples, the accuracy, the confusion matrix, seconds for each sample.

    Raises:
      ValueError, OSError: for a graph that cannot be held, or data that do not fit it.
    """
    from jaxsnn import interchange

    imported = interchange.from_nir(graph, dt=dt, reset=reset, readout="mean")  # type: ignore[arg-type]
    data = load_data(config)
    shape = input_shape(config, data)
    if shape != imported.model.input_shape:
        raise ValueError(
            f"the graph takes samples {list(imported.model.input_shape)} (channels last), {data.name} with encoding="
            f"{config.network.encoding} gives {list(shape)}"
        )
    samples = getattr(data, part)
    apply = models.functionalize(imported.model)[0]
    size = min(config.training.evaluation_batch, len(samples.labels))
    evaluate = training.make_evaluate(apply, make_prepare(config), size)
    state = training.init_state(imported.params, imported.model_state, optax.identity(), config.training.seed)
    began = time.perf_counter()
    found = evaluate(state, samples.samples, samples.labels)
    seconds = (time.perf_counter() - began) / len(samples.labels)
    return {
        "samples": len(samples.labels),
        "accuracy": float(found.accuracy[-1]),
        "confusion": np.asarray(found.confusion).tolist(),
        "seconds_per_sample": round(seconds, 5),
    }


def main() -> None:
    """Parses flags, scores, prints."""
    flags.DEFINE_string("graph", None, "File of a NIR graph.", required=True)
    flags.DEFINE_float("dt", None, "Seconds of one time step; none for the one that the graph tells.")
    flags.DEFINE_enum("reset_by", "value", ["value", "subtract"], "How a neuron that fired is reset; see interchange.")
    flags.DEFINE_enum("part", "test", ["train", "test"], "Which samples.")
    flags.DEFINE_string("out", "", "File for the result as JSON, with the confusion matrix; empty for none.")
    define_flags(PRESETS)

    def run() -> None:
        given = flags.FLAGS
        config = from_flags(PRESETS)
        out = files.local(given.out) if given.out else None
        if out is not None and not out.parent.is_dir():
            raise ValueError(f"--out={given.out}: {out.parent} is no folder; make it first, or name another file")
        found = score(config, given.graph, dt=given.dt, reset=given.reset_by, part=given.part)
        print(
            f"{given.graph} on {found['samples']} {given.part} samples of {config.data.dataset}: "
            f"{100 * found['accuracy']:.2f} %, {found['seconds_per_sample']:.4f} s each"
        )
        if out is not None:
            about = {"graph": Path(given.graph).name, "reset": given.reset_by, "part": given.part}
            about |= {"dataset": config.data.dataset, "time_steps": config.network.time_steps}
            run_folder.write_json(out, found | about | environment())

    command(run)


if __name__ == "__main__":
    main()
