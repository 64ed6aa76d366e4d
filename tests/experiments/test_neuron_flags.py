"""Neurons, their options and recurrence by flag: each configuration builds what the functions build."""

import re
from functools import partial
from typing import get_args, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import neurons
from jaxsnn.cells import CELLS, Cell
from jaxsnn.lab import evaluate, run
from jaxsnn.lab.config import Config
from jaxsnn.lab.neurons import make_neurons
from jaxsnn.neurons import PARALLEL
from jaxsnn.surrogate import squarewave_fourier, triangle


def network(**fields):
    return Config.of(gradient="bptt", **fields).network


def outputs(kind, steps=9):
    x = 3 * jax.random.uniform(jax.random.key(0), (steps, 2, 4))
    neuron = kind.hidden
    params = jax.tree.map(jnp.asarray, neuron.params)
    run = jax.jit(lambda x: neuron.run(params, neuron.init(params, x.shape[1:], x.dtype), x)[1])
    return np.asarray(run(x)), np.asarray(jax.jit(jax.grad(lambda x: jnp.sum(run(x) * x)))(x))


SAME = [
    (
        {"reset": "value", "neuron_params": ("v_reset:-0.4",), "leak": 0.8},
        lambda: neurons.lif(0.8, reset="value", v_reset=-0.4),
    ),
    (
        {"reset": "delayed", "neuron_options": ("detach_reset:false",), "leak": 0.8},
        lambda: neurons.lif(0.8, reset="delayed", detach_reset=False),
    ),
    (
        {"leak": 0.7, "leak_first": True, "neuron_options": ("scale_input:true",)},
        lambda: neurons.lif(0.7, leak_first=True, scale_input=True),
    ),
    (
        {"neuron": "plif", "leak": 0.5, "neuron_options": ("reset:soft",), "surrogate": "triangle"},
        lambda: neurons.of_cell(CELLS["plif"].make(reset="soft"), triangle),
    ),
    (
        {"leak": 0.8, "surrogate": "squarewave_fourier", "surrogate_params": ("terms:3", "height:0.5")},
        lambda: neurons.lif(0.8, spike=partial(squarewave_fourier, terms=3, height=0.5)),
    ),
    (
        {"neuron": "synaptic", "leak": 0.8, "neuron_params": ("synaptic_leak:0.6",)},
        lambda: neurons.of_cell(CELLS["synaptic"], params=CELLS["synaptic"].params(0.6, 0.8)),
    ),
]


@pytest.mark.parametrize(("fields", "make"), SAME)
def test_flags_are_the_functions(fields, make):
    found, expected = outputs(make_neurons(network(**fields))), outputs(make())
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-6)
    assert 0 < expected[0].mean() < 1


@pytest.mark.parametrize("gradient", ["bptt", "spikebp"])
def test_kernels_are_a_flag(gradient):
    for kernel in ("scan", "pallas"):
        made = make_neurons(Config.of(gradient=gradient, kernel=kernel).network)
        for neuron in (made.hidden, made.pool):
            rest = neuron.init(neuron.params, (2, 4), jnp.float32)
            program = jax.make_jaxpr(partial(neuron.run, neuron.params, rest))(jnp.ones((3, 2, 4)))
            assert ("pallas_call" in str(program)) == (kernel == "pallas")


def test_inclusive_and_pools_and_learned_fields():
    kind = make_neurons(network(leak=1.0, inclusive=True, reset="delayed"))
    ones = jnp.ones((1, 1, 1))
    assert kind.hidden.run(kind.hidden.params, kind.hidden.init(kind.hidden.params, (1, 1), ones.dtype), ones)[1] == 1
    pool = kind.pool
    after, _ = pool.run(pool.params, pool.init(pool.params, (1, 1), ones.dtype), 2 * ones)
    assert after.potential == 1.25  # the pool's reset is soft
    assert make_neurons(network(neuron="plif")).learn == ("leak",)
    assert make_neurons(network(neuron="plif", learn=("threshold",))).learn == ("threshold",)
    assert make_neurons(network()).learn == ()


@pytest.mark.parametrize("name", [name for name, cell in CELLS.items() if cell.make and cell.fires and name != "lif"])
def test_every_option_of_every_cell_is_a_flag(name):
    """Each value of each option reaches the cell's maker, or is refused by both."""
    cell, seen = CELLS[name], 0
    for option, kind in get_type_hints(cell.make).items():
        for value in {bool: (True, False), Cell: ()}.get(kind, get_args(kind)):
            fields = {"neuron": name, "neuron_options": (f"{option}:{str(value).lower()}",)}
            try:
                made = cell.make(**{option: value})
            except ValueError as error:
                with pytest.raises(ValueError, match=re.escape(str(error))):
                    network(**fields)
                continue
            hidden = make_neurons(network(**fields)).hidden
            assert made.step.keywords == {k: v for k, v in hidden.step.keywords.items() if k != "spike"}
            seen += 1
    assert seen >= 2


REFUSED = [
    ({"neuron_options": ("reset:soft",)}, "lif has flags for reset: give --reset"),
    ({"neuron_params": ("leak:0.5",)}, "lif has flags for leak: give --leak"),
    ({"neuron": "plif", "reset": "soft"}, "reset is a flag of lif: of neuron=plif give neuron_options=reset:soft"),
    ({"neuron_options": ("order:3",)}, "neuron=lif has no option 'order': it has reset, leak_first, detach_reset"),
    ({"neuron": "clif", "neuron_options": ("reset:soft",)}, "neuron=clif has no option 'reset': it has none"),
    ({"neuron_options": ("detach_reset:maybe",)}, "'detach_reset:maybe' must be one of true, false"),
    ({"neuron": "alif", "neuron_options": ("reset:value",)}, "reset must be one of hard, soft, none, delayed, got"),
    ({"neuron": "sliding_psn", "neuron_options": ("order:x",)}, "'order:x' must be a whole number"),
    ({"neuron": "psn", "learn": ("weight",)}, "learn takes nothing of neuron=psn"),
    ({"neuron": "psn", "neuron_params": ("weight:1",)}, "neuron=psn has no weight: it has no parameters"),
    ({"reset": "delayed", "leak_first": True}, "delayed reset subtracts after the leak"),
    ({"hidden": (3,)}, "hidden is for networks with a choice of widths, e.g. mlp, got model=lenet"),
    ({"gradient": "spikebp", "recurrent": "all"}, "spikebp has no surrogate and no recurrent synapses"),
    ({"surrogate_params": ("leak:1",)}, "surrogate=arctan has no leak: surrogate_params may be height"),
    ({"kernel": "pallas", "neuron": "adlif"}, "membrane alone, .* got neuron=adlif"),
    ({"kernel": "pallas", "neuron": "psn"}, "membrane alone, .* got neuron=psn"),
    ({"kernel": "pallas", "learn": ("leak",)}, "constant parameters .* learn=leak"),
    ({"kernel": "pallas", "model": "mlp", "recurrent": "all"}, "without recurrent synapses.* recurrent=all"),
    ({"kernel": "pallas", "neuron": "relu", "encoding": "direct", "time_steps": 1}, "relu has no loop over time"),
    ({"gradient": "spikebp", "neuron_options": ("scale_input:true",)}, "spikebp has no options of neurons"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_what_does_not_fit_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Config.of(**({"gradient": "bptt"} | fields))


COMMON = {
    "dataset": "digits",
    "model": "mlp",
    "hidden": (32,),
    "gradient": "bptt",
    "time_steps": 4,
    "epochs": 1,
    "batch_size": 50,
    "validation": 100,
    "shift": 0,
    "optimizer": "adam",
    "lr": 0.03,
    "init_gain": 4.0,
    "progress": False,
    "figures": False,
}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"neuron": "adlif", "leak": 0.8, "recurrent": "others"}, marks=pytest.mark.thorough),
        pytest.param({"neuron": "psn", "encoding": "direct"}, marks=pytest.mark.thorough),
        {"neuron": "sliding_psn", "neuron_options": ("order:3",), "time_chunk": 2},
    ],
)
def test_a_run_from_training_to_evaluation(fields, tmp_path):
    """Recurrent synapses, neurons that need the whole train, and those that take it in chunks."""
    config = Config.of(**COMMON, **fields, run_dir=str(tmp_path / "run"))
    summary = run.run(config, "none")
    assert summary["test_accuracy"]["mean"] > 0.15
    network = evaluate.evaluate(tmp_path / "run", which="last", part="test")["networks"][0]
    assert network["accuracy"] == summary["runs"][0]["test_accuracy"]
    assert network["analysis"]["activity"]["fc1"]["spikes"] > 0


def test_a_short_chunk_is_refused_for_neurons_that_need_the_whole_train(tmp_path):
    config = Config.of(**COMMON, neuron="psn", time_chunk=2, run_dir=str(tmp_path / "run"))
    with pytest.raises(ValueError, match="the neurons of fc1 need the whole train of 4 steps, got chunks of 2"):
        run.run(config, "none")


def test_names():
    assert set(PARALLEL) == {"psn", "masked_psn", "sliding_psn"}
