"""How a program is compiled changes memory and nothing else."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxsnn import compiling, losses, models, neurons
from jaxsnn.layers.synapses import normal_kernel

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
    assert found[1] < 0.85 * found[0], found  # 0.75 while loops began with zeros (docs/decisions/0027)
    jax.tree.map(np.testing.assert_array_equal, whole(*arguments), ordered(*arguments))


OPTIONS = {"SEQUENTIAL": compiling.compiler_options, "QUICK": compiling.quick_options}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_that_xla_does_not_know_is_left_out(monkeypatch, name):
    monkeypatch.setattr(compiling, name, {"xla_cpu_no_such_option": True})
    assert OPTIONS[name].__wrapped__() == {}


@pytest.mark.parametrize("name", OPTIONS)
def test_other_devices_have_none(monkeypatch, name):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert OPTIONS[name].__wrapped__() == {}


@pytest.mark.parametrize("shape", [(3, 3, 3, 64), (3, 3, 64, 20), (700, 33), (7, 3)])
def test_weights_compiled_in_a_hurry_are_those_of_all_optimisations(shape):
    """Bit for bit, and inside of another program, where no options can be given, the same up to rounding."""
    whole = {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}
    usual = jax.jit(jax.random.normal, static_argnums=(1, 2), compiler_options=whole)
    normal = usual(nnx.Rngs(5).params(), shape, jnp.float32)
    kernel = normal_kernel(nnx.Rngs(5), shape, 2.0, jnp.float32)[...]
    deviation = jnp.sqrt(jnp.array(2.0 / np.prod(shape[:-1]), jnp.float32))
    np.testing.assert_array_equal(kernel, normal * deviation)
    inside = jax.jit(lambda key: normal_kernel(nnx.Rngs(key), shape, 2.0, jnp.float32)[...])(jax.random.key(5))
    np.testing.assert_allclose(inside, kernel, rtol=1e-5, atol=1e-7)


def test_compiled_programs_are_the_same(lowered):
    program, arguments = lowered
    ordered = program.compile(compiler_options=compiling.compiler_options())
    jax.tree.map(np.testing.assert_array_equal, compiling.compile_large(program)(*arguments), ordered(*arguments))


@pytest.mark.skipif(compiling._malloc_trim() is None, reason="this C library cannot give memory back")
def test_freed_memory_goes_back_to_the_system():
    def resident():
        return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    blocks = [bytes(5000) for _ in range(20_000)]  # 100 MB in blocks of the C library
    last = blocks[-1]  # stays, at the end of the heap
    before = resident()
    del blocks
    assert resident() > before - 50  # or there would be nothing to do
    compiling.give_back()
    assert resident() < before - 50
    assert len(last) == 5000


def test_a_c_library_without_it_is_left_alone(monkeypatch):
    for error in (AttributeError, OSError, TypeError):

        def missing(_, error=error):
            raise error

        monkeypatch.setattr(compiling.ctypes, "CDLL", missing)
        assert compiling._malloc_trim.__wrapped__() is None
    monkeypatch.setattr(compiling, "_malloc_trim", lambda: None)
    compiling.give_back()
