"""Data-parallel gradients by shard_map: the numbers of one device, and no collective but the gradient sum."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, re
import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import PartitionSpec as P
from jaxsnn import encoding, losses, models

mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
model = models.create("lenet", input_shape=(8, 8, 1), num_classes=3, init_scale=6.0, rngs=nnx.Rngs(0))
apply, params, state = models.functionalize(model)
x = encoding.poisson(jax.random.key(0), jax.random.uniform(jax.random.key(1), (8, 8, 8, 1)), 5)
labels = jnp.arange(8) % 3

def gradients(params, x, labels):
    loss = lambda params: losses.squared_error(apply(params, state, x)[0].logits, labels)
    return jax.grad(loss)(params)

def shared(*args):
    return jax.lax.psum(gradients(*args), "data")

specs = {"in_specs": (P(), P(None, "data"), P("data")), "out_specs": P(), "check_vma": False}
parallel = jax.jit(jax.shard_map(shared, mesh=mesh, **specs))
text = parallel.lower(params, x, labels).compile().as_text()
names = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")
collectives = {name: len(re.findall(rf" {name}(?:-start)?[(]", text)) for name in names}
one, many = gradients(params, x, labels), parallel(params, x, labels)
error = max(jax.tree.leaves(jax.tree.map(lambda a, b: float(jnp.abs(a - b).max() / jnp.abs(a).max()), one, many)))
print(json.dumps({"collectives": collectives, "error": error, "devices": jax.device_count()}))
"""


@pytest.fixture(scope="module")
def result():
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    out = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | environment,
    ).stdout
    return json.loads(out.splitlines()[-1])


def test_same_numbers_as_one_device(result):
    assert result["devices"] == 8
    assert result["error"] < 1e-5


def test_no_collective_but_the_gradient_sum(result):
    collectives = result["collectives"]
    assert 1 <= collectives.pop("all-reduce") <= 4  # XLA may join the four gradients into one
    assert set(collectives.values()) == {0}
