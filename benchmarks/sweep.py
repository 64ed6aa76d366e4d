"""Sixteen networks in one program, or one after another: the same accuracies, and how long it takes.

    python -m benchmarks.sweep                      # 4 rates x 4 seeds of the digits network, float32
    JAX_ENABLE_X64=1 python -m benchmarks.sweep --float64

Both train by the step of `jaxsnn.lab.build` and are evaluated after every epoch on the test set. Compilation counts:
runs of another rate compile again, seeds share a program. Appends to benchmarks/results/<device>/sweep.jsonl.
"""

import argparse
import time
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks import common
from experiments import digits
from jaxsnn import parallel, training
from jaxsnn.data import Dataset, load
from jaxsnn.lab import build
from jaxsnn.lab.config import Config
from jaxsnn.lab.splits import split
from jaxsnn.lab.sweep import populations

RATES = (0.0005, 0.001, 0.002, 0.004)


def together(configs: Sequence[Config], data: Dataset, vmap_size: int | None, dtype: Any) -> parallel.Trained:
    """All of them as one population."""
    first, sets = configs[0], split(configs[0], data)
    step, accuracy = populations.functions(first, data, vmap_size=vmap_size, param_dtype=dtype)
    return parallel.fit_population(
        populations.create(configs, data, param_dtype=dtype),
        step,
        sets.fitting,
        batch_size=first.training.batch_size,
        epochs=first.training.epochs,
        evaluate=lambda population: {"test": accuracy(population, *sets.test)[:, -1]},
    )


def one_by_one(configs: Sequence[Config], data: Dataset, dtype: Any) -> np.ndarray:
    """Each by `training.fit`; returns the accuracies after the last epoch, `[M]`."""
    found, last, program = [], None, None
    for config in configs:
        shared = config.replace(seed=0)
        if program is None or shared != last:
            program, last = build.build(config, data, param_dtype=dtype), shared
        found.append(_alone(config, data, program))
    return np.array(found)


def _alone(config: Config, data: Dataset, program: build.Program) -> float:
    sets, accuracies = split(config, data), []

    def evaluate(state: training.TrainState) -> dict[str, float]:
        accuracies.append(float(program.evaluate(state, *sets.test).accuracy[-1]))
        return {"validation_accuracy": accuracies[-1]}  # a name that the loop wants; nothing is chosen here

    training.fit(
        program.start(config.training.seed),
        program.step,
        sets.fitting,
        batch_size=config.training.batch_size,
        epochs=config.training.epochs,
        evaluate=evaluate,
        progress=False,
    )
    return accuracies[-1]


def main() -> None:
    """Parses arguments, measures both, prints and appends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--time_steps", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--init_gain", type=float, default=2.0, help="so that layers fire at so few steps")
    parser.add_argument("--limit", type=int, default=640, help="training images")
    parser.add_argument("--vmap_size", type=int, default=None, help="members computed together (0: all)")
    parser.add_argument("--float64", action="store_true", help="with JAX_ENABLE_X64=1")
    given = vars(parser.parse_args())
    dtype = jnp.float64 if given["float64"] else jnp.float32
    if jnp.zeros((), dtype).dtype != dtype:
        parser.error("--float64 needs JAX_ENABLE_X64=1 in the environment")
    changes = {name: given[name] for name in ("width", "time_steps", "epochs", "init_gain", "limit")}
    base, data = digits.digits().replace(**changes, seeds=1), load("digits")
    configs = [base.replace(lr=lr, seed=seed) for lr in RATES for seed in range(given["seeds"])]
    began = time.perf_counter()
    trained = together(configs, data, given["vmap_size"], dtype)
    population_s = time.perf_counter() - began
    began = time.perf_counter()
    alone = one_by_one(configs, data, dtype)
    runs_s = time.perf_counter() - began
    accuracy = trained.accuracy["test"][-1]
    results = {
        "population_s": round(population_s, 1),
        "runs_s": round(runs_s, 1),
        "ratio": round(runs_s / population_s, 2),
        "equal": int(np.sum(accuracy == alone)),
        "largest_difference": round(float(abs(accuracy - alone).max()), 4),
        "mean_accuracy": round(float(alone.mean()), 4),
        "temporary_mb": trained.costs.temporary_mb,
    }
    print(
        f"{len(configs)} networks: in one program {population_s:.1f} s, one after another {runs_s:.1f} s "
        f"({results['ratio']} times as long)\naccuracy equal in {results['equal']} of {len(configs)}, "
        f"largest difference {100 * results['largest_difference']:.2f} %, mean {100 * results['mean_accuracy']:.2f} %"
    )
    print(f"wrote {common.append([common.row('sweep', f'digits x {len(configs)}', 'jaxsnn', given, results)])}")


if __name__ == "__main__":
    main()
