"""Where spikes are rare: is a product of the active rows alone faster than the dense one?

    python -m benchmarks.events --repeats=200

A dense layer's currents of one step, for one sample and for a batch, at several rates of its input spikes:
- dense: `spikes @ weights`, as the library has it;
- rows: the rows of the active inputs are gathered and added up, in one compiled program with room for twice as many as
  are expected;
- csr: a sparse matrix of the spikes times the weights by SciPy, made from the dense spikes each time, outside of jax.
Every product is compared with the dense one first. Prints medians in milliseconds and appends them to
benchmarks/results/<device>/events.jsonl.
"""

import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from benchmarks import common
from benchmarks.inference import timed

LAYERS = {"recurrent 256": (256, 256), "VGG9 fc1": (4096, 1024)}
RATES = (0.001, 0.003, 0.01, 0.03, 0.1)


def products(room: int) -> dict[str, Callable[[Any, Any], Any]]:
    """Name to `(spikes [B, inputs], weights [inputs, outputs]) -> currents [B, outputs]`."""

    @jax.jit
    def dense(spikes: jax.Array, weights: jax.Array) -> jax.Array:
        return spikes @ weights

    @jax.jit
    def rows(spikes: jax.Array, weights: jax.Array) -> jax.Array:
        def one(sample: jax.Array) -> jax.Array:
            (active,) = jnp.nonzero(sample, size=room, fill_value=len(weights))
            return jnp.sum(weights.at[active].get(mode="fill", fill_value=0), 0)

        return jax.vmap(one)(spikes)

    def csr(spikes: jax.Array, weights: jax.Array) -> np.ndarray:
        product: np.ndarray = scipy.sparse.csr_matrix(np.asarray(spikes)) @ np.asarray(weights)
        return product

    return {"dense": dense, "rows": rows, "csr": csr}


def measure(inputs: int, outputs: int, batch: int, rate: float, repeats: int) -> dict[str, dict[str, Any]]:
    """Product to its times.

    Raises:
      AssertionError: if products differ.
    """
    rng = np.random.default_rng(0)
    spikes = jnp.asarray(rng.random((batch, inputs)) < rate, jnp.float32)
    weights = jnp.asarray(rng.normal(0, 1 / np.sqrt(inputs), (inputs, outputs)), jnp.float32)
    room = max(8, int(2 * rate * inputs), int(spikes.sum(-1).max()))
    found, expected = {}, np.asarray(spikes) @ np.asarray(weights)
    for name, product in products(room).items():
        np.testing.assert_allclose(product(spikes, weights), expected, rtol=1e-4, atol=1e-4)
        found[name] = common.summary(timed(lambda: product(spikes, weights), repeats))  # noqa: B023
    return found


def main() -> None:
    """Measures, prints, and appends to the results."""
    parser = common.parser(__doc__)
    parser.add_argument("--batches", default="1,64", help="samples")
    parser.add_argument("--repeats", type=int, default=200, help="timed calls")
    flags = parser.parse_args()
    rows = []
    for layer, (inputs, outputs) in LAYERS.items():
        for batch in map(int, flags.batches.split(",")):
            for rate in RATES:
                for product, results in measure(inputs, outputs, batch, rate, flags.repeats).items():
                    options = {"product": product, "batch": batch, "rate": rate}
                    rows.append(common.row("events", layer, "jaxsnn", options, results))
                    print(layer, json.dumps(options), json.dumps(results))
    if flags.write:
        common.append(rows, flags.results)


if __name__ == "__main__":
    main()
