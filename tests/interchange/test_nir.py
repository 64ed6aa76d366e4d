"""NIR graphs in and out: bit for bit round trips, an interpreter of the definition, reference files, refusals."""

from itertools import pairwise
from pathlib import Path

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings

from jaxsnn import interchange, models, neurons
from jaxsnn.cells import CELLS
from jaxsnn.layers import NORMS
from jaxsnn.models import MODELS
from tests.interchange import euler

h5py, nir = pytest.importorskip("h5py"), pytest.importorskip("nir")
FILES = Path(__file__).parent / "nir"  # of neuromorphs/NIR, see LICENSE there
DT = 1e-3
DEEP = ("resnet11", "resnet20", "sew_add_resnet20", "ms_resnet20")
PLAIN = ("lenet", "vgg5", "mlp", *(pytest.param(name, marks=pytest.mark.thorough) for name in DEEP))


def network(name, size=8, **options):
    shape = (6,) if name == "mlp" else (size, size, 2)
    defaults = {"input_shape": shape, "num_classes": 3, "width": 0.05, "init_gain": 3.0, "rngs": nnx.Rngs(0)}
    model = models.create(name, **defaults | options)
    return model, *models.functionalize(model)


def spikes(shape, steps=4):
    return jax.random.bernoulli(jax.random.key(1), 0.5, (steps, 2, *shape)).astype(jnp.float32)


def through_a_file(graph, tmp_path, **options):
    nir.write(tmp_path / "network.nir", graph)
    return interchange.from_nir(tmp_path / "network.nir", **options)


@pytest.mark.parametrize("name", PLAIN)
def test_a_round_trip_is_the_same_bit_for_bit(name, tmp_path):
    """Both orders of leak and reset, learned and constant leaks, biases, norms, recurrent weights."""
    normed = "resnet2" in name
    options = {
        "lenet": {},
        "vgg5": {
            "neurons": neurons.lif(0.9, leak_first=True, learn=("leak:channel",)),
            "bias": True,
            "pool": "average",
        },
        "mlp": {
            "neurons": neurons.lif(0.8, learn=("leak:neuron",)),
            "recurrent": "others",
            "width": 1,
            "hidden": (5, 4),
        },
    }.get(name, {"neurons": neurons.lif(0.8), "norm": "bn"} if normed else {})
    model, apply, params, state = network(name, **options)
    imported = through_a_file(interchange.to_nir(model, params, state, dt=DT), tmp_path, precision="default")
    if normed:
        model, params, state = models.fold(model, params, state)
        apply = models.functionalize(model)[0]
    again = models.functionalize(imported.model)[0]

    @jax.jit
    def both(params, state, other, x):
        return apply(params, state, x)[0], again(other.params, other.model_state, x)[0]

    first, second = both(params, state, imported._replace(model=None), spikes(model.input_shape))
    np.testing.assert_array_equal(first.potentials, second.potentials)
    np.testing.assert_array_equal(first.logits, second.logits)
    assert sum(int(n.sum()) for n in first.spike_counts.values()) > 0
    total = lambda output: sum(int(n.sum()) for k, n in output.spike_counts.items() if not k.endswith("/sum"))  # noqa: E731
    assert normed or total(first) == total(second)


@pytest.mark.thorough
def test_every_model_is_exported_or_refused_by_name():
    """Whatever is in the table, at its smallest."""
    refused = {}
    for name in MODELS:
        size = 32 if name in ("vgg11", "vgg13", "vgg16") else 8
        options = {
            "neurons": neurons.lif(0.8),
            "norm": "" if name == "mlp" else "bn",
            "width": 1 / 32,
            "pool": "average",
        }
        if name.startswith("spikformer"):
            options["width"] = 1 / 8
        model, _, params, state = network(name, size, **options)
        try:
            interchange.to_nir(model, params, state, dt=DT)
        except ValueError as error:
            refused[name] = str(error)
    assert {
        name: message for name, message in refused.items() if "NIR" not in message and "cannot be folded" not in message
    } == {}
    assert {
        "sew_and" in n or "sew_iand" in n or n.startswith(("spikformer", "plif", "fast", "resnet11")) for n in refused
    } == {True}


@st.composite
def graphs(draw):
    """A convolution, a pool and dense layers with random nodes, sizes and parameters."""
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    channels, size = draw(st.integers(1, 3)), draw(st.integers(5, 8))
    stride, padding, dilation = draw(st.integers(1, 2)), draw(st.integers(0, 2)), draw(st.integers(1, 2))
    groups = draw(st.sampled_from([1, channels]))
    features = channels * draw(st.integers(1, 2))
    reached = (size + 2 * padding - dilation * 2 - 1) // stride + 1
    shape = (features, reached, reached)
    pool = draw(st.sampled_from(["AvgPool2d", "SumPool2d", None])) if reached >= 2 else None

    def full(value, shape):
        return np.full(shape, value, np.float64)

    def membrane(kind, shape):
        fires = {"v_threshold": rng.uniform(0.3, 1.5, shape), "v_reset": full(0.0, shape)}
        tau = {"tau": rng.uniform(2, 20, shape) * DT, "v_leak": full(0.0, shape)}
        uniform = full(rng.uniform(0.5, 3), shape)
        if kind == "IF":
            return nir.IF(r=full(1 / DT, shape), **fires)
        if kind == "LIF":
            return nir.LIF(r=uniform * tau["tau"] / DT, **tau, **fires)
        if kind == "CubaLIF":
            parts = {"tau_mem": tau["tau"], "tau_syn": rng.uniform(2, 9, shape) * DT, "w_in": full(1.0, shape)}
            return nir.CubaLIF(r=full(4.0, shape), v_leak=full(0.0, shape), **parts, **fires)
        return nir.LI(r=uniform * tau["tau"] / DT, **tau)

    def affine(inputs, outputs):
        weight = rng.normal(0, 2 / np.sqrt(inputs), (outputs, inputs)).astype(np.float32)
        return nir.Affine(weight=weight, bias=rng.normal(0, 0.1, outputs).astype(np.float32))

    nodes = {
        "input": nir.Input({"input": np.array([channels, size, size])}),
        "conv": nir.Conv2d(
            (size, size),
            rng.normal(0, 0.7, (features, channels // groups, 3, 3)).astype(np.float32),
            stride,
            padding,
            dilation,
            groups,
            rng.normal(0, 0.1, features).astype(np.float32),
        ),
        "n1": membrane(draw(st.sampled_from(["IF", "LIF"])), shape),
    }
    chain = ["input", "conv", "n1"]
    if pool:
        nodes["pool"] = getattr(nir, pool)(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
        shape = (features, reached // 2, reached // 2)
        chain.append("pool")
    nodes["flat"] = nir.Flatten({"input": np.array(shape)}, start_dim=0)
    nodes["fc1"] = affine(int(np.prod(shape)), 5)
    nodes["n2"] = membrane(draw(st.sampled_from(["IF", "LIF", "CubaLIF"])), (5,))
    nodes["fc2"], nodes["n3"] = affine(5, 3), membrane(draw(st.sampled_from(["LI", "LIF"])), (3,))
    chain += ["flat", "fc1", "n2", "fc2", "n3", "output"]
    edges = list(pairwise(chain))
    if draw(st.booleans()):
        nodes["back"] = nir.Linear(rng.normal(0, 0.7, (5, 5)).astype(np.float32))
        edges += [("n2", "back"), ("back", "n2")]
    nodes["output"] = nir.Output({"output": np.array([3])})
    x = (rng.random((4, 2, channels, size, size)) < 0.5).astype(np.float32)
    return nir.NIRGraph(nodes, edges, type_check=False), x  # which knows no groups


@settings(max_examples=8, deadline=None)
@given(graphs())
def test_random_graphs_are_what_their_definition_says(made):
    graph, x = made
    expected = euler.run(graph, x, DT)
    imported = interchange.from_nir(graph, dt=DT, readout="mean")
    apply = models.functionalize(imported.model)[0]
    output, _ = jax.jit(apply)(imported.params, imported.model_state, jnp.asarray(np.moveaxis(x, 2, -1)))
    np.testing.assert_allclose(output.potentials, expected, rtol=1e-4, atol=1e-5)


def test_the_lif_neuron_of_the_reference_file():
    """Spikes of Norse and of the exact simulation; potentials to 1e-6 of Norse's."""
    stimulus, potentials, fired = np.loadtxt(FILES / "lif_norse.csv", delimiter=",").T
    imported = interchange.from_nir(FILES / "lif_norse.nir", dt=1e-4)
    apply = models.functionalize(imported.model)[0]
    x = jnp.asarray(stimulus, jnp.float32).reshape(-1, 1, 1)
    output, _ = jax.jit(apply)(imported.params, imported.model_state, x)
    assert np.flatnonzero(output.potentials[:, 0, 0]).tolist() == np.flatnonzero(fired).tolist() == [460, 510, 710, 760]
    weight = imported.params["1"]["kernel"][0, 0]
    layer = getattr(imported.model, "1/neurons")
    found = np.asarray(jax.jit(layer.membranes)(x * weight)).reshape(-1)
    np.testing.assert_allclose(np.where(fired, 0, found), potentials, atol=1e-6)


def test_the_recurrent_network_of_the_reference_file():
    imported = interchange.from_nir(FILES / "braille_noDelay_bias_zero.nir", dt=1e-4, readout="mean")
    assert [row.synapses for row in imported.model.rows] == [
        (("lif1/lif", "input"), ("lif1/w_rec", "lif1/lif")),
        (("lif2", "lif1/lif"),),
        (("output", "lif2"),),
    ]
    graph = nir.read(FILES / "braille_noDelay_bias_zero.nir")
    x = (np.random.default_rng(0).random((30, 2, 12)) < 0.3).astype(np.float32)
    apply = models.functionalize(imported.model)[0]
    output, _ = jax.jit(apply)(imported.params, imported.model_state, jnp.asarray(x))
    expected = euler.run(graph, x, 1e-4)
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(output.potentials, expected)


def test_spikes_are_subtracted_where_it_is_asked_for():
    nodes = {
        "input": nir.Input({"input": np.array([1])}),
        "fc": nir.Linear(np.array([[0.7]], np.float32)),
        "n": nir.IF(r=np.ones(1), v_threshold=np.ones(1)),
        "output": nir.Output({"output": np.array([1])}),
    }
    graph = nir.NIRGraph(nodes, [("input", "fc"), ("fc", "n"), ("n", "output")])
    for reset, expected in (("value", [0, 1, 0, 1, 0, 1]), ("subtract", [0, 1, 1, 0, 1, 1])):
        imported = interchange.from_nir(graph, dt=1.0, reset=reset)
        apply = models.functionalize(imported.model)[0]
        output, _ = apply(imported.params, imported.model_state, jnp.ones((6, 1, 1)))
        assert output.potentials[:, 0, 0].tolist() == expected


def test_a_potential_at_the_threshold_does_not_fire():
    """Whole-number weights: every current of 3 is 3, whatever way the products are summed."""
    nodes = {
        "input": nir.Input({"input": np.array([2, 8, 8])}),
        "conv": nir.Conv2d((8, 8), np.ones((4, 2, 3, 3), np.float32), 1, 1, 1, 1, np.zeros(4, np.float32)),
        "n": nir.IF(r=np.ones((4, 8, 8)), v_threshold=np.full((4, 8, 8), 9.0)),
        "output": nir.Output({"output": np.array([4, 8, 8])}),
    }
    graph = nir.NIRGraph(nodes, [("input", "conv"), ("conv", "n"), ("n", "output")], type_check=False)
    x = np.random.default_rng(0).random((1, 64, 2, 8, 8)) < 0.5
    imported = interchange.from_nir(graph, dt=1.0, readout="mean")
    apply = models.functionalize(imported.model)[0]
    x_last = jnp.asarray(np.moveaxis(x, 2, -1), jnp.float32)
    output, _ = jax.jit(apply)(imported.params, imported.model_state, x_last)
    expected = np.moveaxis(euler.run(graph, x.astype(np.float64), 1.0), 2, -1)
    at = euler._conv(x[0].astype(float), nodes["conv"].weight, 1, 1, 1, 1, np.zeros(4)) == 9
    assert at.sum() > 100
    np.testing.assert_array_equal(output.potentials, expected)


def small(**changes):
    nodes = {
        "input": nir.Input({"input": np.array([2])}),
        "fc": nir.Linear(np.ones((3, 2), np.float32)),
        "n": nir.LIF(np.full(3, 0.01), np.ones(3), np.zeros(3), np.ones(3)),
        "output": nir.Output({"output": np.array([3])}),
    } | changes.pop("nodes", {})
    edges = changes.pop("edges", [("input", "fc"), ("fc", "n"), ("n", "output")])
    return nir.NIRGraph({k: v for k, v in nodes.items() if v is not None}, edges, type_check=False)


def integrators(r, threshold=1.0):
    return nir.IF(r=np.broadcast_to(np.float64(r), 3).copy(), v_threshold=np.full(3, threshold))


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (small, {}, "does not say the seconds of one time step"),
        (small, {"dt": -1.0}, "give dt above 0 .* got -1"),
        (small, {"dt": 0.1}, "n: tau is 0.01, not longer than the time step dt=0.1"),
        (small, {"dt": 0.01}, "n: tau is 0.01, not longer than the time step dt=0.01"),
        (small, {"dt": 1e-3, "reset": "soft"}, "reset must be 'value' or 'subtract', got 'soft'"),
        (
            lambda: small(nodes={"n": integrators([1000.0, 1000.0, 7.0])}),
            {"dt": 1e-3},
            "n: r is 7, 1000, and an integr",
        ),
        (lambda: small(nodes={"n": integrators(10_000.0)}), {"dt": 1e-3}, r"r = 1 / dt = 1000 if in seconds; give the"),
        (lambda: small(nodes={"n": integrators(1.0, 0.0)}), {"dt": 1e-3}, "n: v_threshold is 0 above the resting"),
        (
            lambda: small(nodes={"n": integrators(1.0, np.nan)}),
            {"dt": 1e-3},
            "n: v_threshold holds numbers that are not",
        ),
        (lambda: small(nodes={"fc": nir.Linear(np.full((3, 2), np.inf))}), {"dt": 1e-3}, "fc: weight holds numbers"),
        (lambda: 3, {"dt": 1e-3}, "a nir.NIRGraph or the path of a file was expected, got int"),
        (lambda: small(nodes={"n": nir.Threshold(np.ones(3))}), {"dt": 1e-3}, "the node n is a Threshold"),
        (
            lambda: small(nodes={"output": None}, edges=[("input", "fc"), ("fc", "n")]),
            {"dt": 1},
            "needs one Output node",
        ),
        (
            lambda: small(edges=[("input", "fc"), ("fc", "n"), ("n", "fc"), ("n", "output")]),
            {"dt": 1e-3},
            "form a cycle",
        ),
        (
            lambda: small(nodes={"fc": nir.Linear(np.ones((3, 5), np.float32))}),
            {"dt": 1e-3},
            "fc has weights for 5 inputs",
        ),
        (
            lambda: small(nodes={"fc": nir.Conv2d((4, 4), np.ones((1, 2, 3, 3)), (1, 2), 0, 1, 1, np.zeros(1))}),
            {"dt": 1e-3},
            "fc is a convolution of maps, but input sends",
        ),
    ],
)
def test_graphs_that_cannot_be_held_are_refused(make, options, message):
    with pytest.raises(ValueError, match=message):
        interchange.from_nir(make(), **options)


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        interchange.from_nir(tmp_path / "none.nir", dt=1e-3)
    whole = (FILES / "lif_norse.nir").read_bytes()
    (tmp_path / "cut.nir").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut.nir is no NIR graph that nir .* can read"):
        interchange.from_nir(tmp_path / "cut.nir", dt=1e-3)


def test_a_file_of_a_newer_nir(tmp_path):
    file = tmp_path / "newer.nir"
    nir.write(file, small())
    assert interchange.from_nir(file, dt=1e-3).params
    with h5py.File(file, "r+") as inside:
        del inside["version"]
        inside["version"] = "17.0.3"
    with pytest.raises(ValueError, match=r"newer.nir was written by nir 17.0.3, and nir .* update it"):
        interchange.from_nir(file, dt=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neurons": neurons.lif(reset="soft")}, "the neurons of conv1: their reset is 'soft'"),
        ({"neurons": neurons.of_cell(CELLS["alif"])}, "cannot hold the neurons of conv1"),
        ({"pool": "max"}, "NIR cannot hold pool1: it is a MaxPool"),
        ({"norm": next(name for name in NORMS if name == "ln")}, "conv1"),
    ],
)
def test_networks_that_nir_cannot_hold_are_refused(options, message):
    model, _, params, state = network("lenet", **options)
    with pytest.raises(ValueError, match=message):
        interchange.to_nir(model, params, state, dt=DT)


def test_a_time_step_is_asked_for():
    model, _, params, state = network("lenet")
    with pytest.raises(ValueError, match="dt must be the seconds of one time step, .* got 0"):
        interchange.to_nir(model, params, state, dt=0)
