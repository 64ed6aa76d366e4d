"""The order in which XLA computes changes memory and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import compiling, losses, models, neurons

STEPS = 16


@pytest.fixture(scope="module")
def lowered():
    """Gradients of a network with four loops over time that keep trains of spikes."""
    options = {"input_shape": (16, 16, 1), "num_classes": 3, "rngs": nnx.Rngs(0)}
    model = models.vgg(((8,), (8,), (8,)), (8,), neurons=neurons.lif(), **options)
    apply, params, state = models.functionalize(model)

    def step(params, x):
        loss = lambda params: losses.squared_error(apply(params, state, x)[0].logits, jnp.zeros(8, jnp.int32))  # noqa: E731
        return jax.value_and_grad(loss)(params)

    x = jax.random.bernoulli(jax.random.key(0), 0.5, (STEPS, 8, 16, 16, 1)).astype(jnp.float32)
    return jax.jit(step).lower(params, x), (params, x)


def test_a_step_needs_less_memory_and_has_the_same_numbers(lowered):
    program, arguments = lowered
    whole, ordered = program.compile(), program.compile(compiler_options=compiling.compiler_options())
    found = [one.memory_analysis().temp_size_in_bytes for one in (whole, ordered)]
    assert found[1] < 0.75 * found[0], found
    jax.tree.map(np.testing.assert_array_equal, whole(*arguments), ordered(*arguments))


def test_an_option_that_xla_does_not_know_is_left_out(monkeypatch):
    monkeypatch.setattr(compiling, "SEQUENTIAL", {"xla_cpu_no_such_option": True})
    assert compiling.compiler_options.__wrapped__() == {}


def test_other_devices_have_none(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert compiling.compiler_options.__wrapped__() == {}
