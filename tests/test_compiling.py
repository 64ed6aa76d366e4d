"""How a program is compiled changes memory and nothing else."""

import os
from pathlib import Path

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
