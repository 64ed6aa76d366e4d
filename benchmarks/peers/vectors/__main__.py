"""Records what other libraries compute, for our tests to compare with: outputs and gradients on fixed inputs.

    .venv-peers/bin/python -m benchmarks.peers.vectors [spikingjelly snntorch norse spyx]

Run it from the root of the project, in the environment of the peers (`make peers`). Every library has one small file,
tests/peers/<library>.npz: `cases`, a JSON list of kind, name and arguments, and arrays `<number>.<array>`. Neurons get
currents `x` `[T, B, N]` and send `y`; `d_x` and `d_<parameter>` are the gradients of `sum(y * g)`. Surrogates have
their derivative `d_x` at every one of `points`. Everything is float64 but where a library casts to float32.

A new kind (norms, losses) is a function of a library's module that yields `Case`s, in the table `RECORDERS`.
"""

import importlib
import json
import sys
from pathlib import Path

import jax
import numpy as np

from benchmarks.peers.vectors.case import currents, points, recurrent_weights

FOLDER = Path(__file__).parents[3] / "tests" / "peers"
RECORDERS = dict.fromkeys(("spikingjelly", "snntorch", "norse", "spyx"), ("neurons", "surrogates"))
"""Library, a module beside this one, to its functions that yield `Case`s."""


def main(libraries: list[str]) -> None:
    jax.config.update("jax_enable_x64", True)
    for library in libraries or RECORDERS:
        module = importlib.import_module(f"benchmarks.peers.vectors.{library}")
        cases = [case for recorder in RECORDERS[library] for case in getattr(module, recorder)()]
        arrays = {f"{i}.{label}": array for i, case in enumerate(cases) for label, array in case.arrays.items()}
        arrays |= dict(zip(("x", "g", "points", "weights"), (*currents(), points(), recurrent_weights()), strict=True))
        listed = json.dumps([(case.kind, case.name, case.arguments) for case in cases])
        np.savez_compressed(FOLDER / f"{library}.npz", cases=np.asarray(listed), **arrays)
        rates = ", ".join(f"{c.name} {c.arrays['y'].mean():.2f}" for c in cases if c.kind == "neuron")
        print(f"{library}: {len(cases)} cases; rates: {rates}")


if __name__ == "__main__":
    main(sys.argv[1:])
