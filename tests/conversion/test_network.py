"""What is refused, by name; starting a spiking network from a converted one."""

import jax
import jax.numpy as jnp
import pytest

from jaxsnn import conversion, encoding, losses, neurons
from tests.conversion import networks

NAMES = ("conv1", "pool1", "fc1")


def changed(tree, **entries):
    return tree | {name: tree.get(name, {}) | entry for name, entry in entries.items()}


@pytest.mark.parametrize(
    ("params", "state", "message"),
    [
        ({"fc1": {"bias": 0}}, {}, "cannot convert the layer fc1: it has bias. Known are layers whose only"),
        ({"conv1": {"scale": 0, "bias": 0}}, {}, "cannot convert the layer conv1: it has bias, scale"),
        (
            {"fc1": {"log_threshold": 0}},
            {},
            "cannot convert the layer fc1: it has log_threshold. Its leak or threshold",
        ),
        ({"fc2": {"constants": {"leak_logit": 0}}}, {}, "cannot convert the layer fc2: it has leak_logit"),
        ({}, {"pool1": {"maximum": 0}}, "cannot convert the layer pool1: it has neither a kernel nor the threshold"),
        ({"fc3": {"kernel": 0}}, {}, "ends in one readout, got fc2, fc3 without spikes beside conv1, pool1, fc1"),
    ],
)
def test_layers_that_are_not_known_are_named(params, state, message):
    _, have, constants = networks.plain(networks.INTEGRATE_AND_FIRE, pool="spiking")
    with pytest.raises(ValueError, match=message):
        conversion.check(changed(have, **params), changed(constants, **state), NAMES)


def test_leaks_and_strange_blocks_are_named():
    _, params, state = networks.plain(neurons.spikebp(leak=0.9), pool="spiking")
    with pytest.raises(ValueError, match=r"cannot convert the layer conv1: its neurons leak \(0.(89|9)"):
        conversion.check(params, state, NAMES)
    _, params, state = networks.plain(neurons.lif(leak=0.9, learn=("leak",)), pool="spiking")
    with pytest.raises(ValueError, match="conv1: it has leak_logit. Its leak or threshold is learned: build"):
        conversion.check(params, state, NAMES)
    _, params, state = networks.plain(networks.INTEGRATE_AND_FIRE, pool="spiking")
    with pytest.raises(ValueError, match="cannot convert pool1: pools with neurons, of which nothing is known"):
        conversion.check(params, state, ("conv1", "fc1"))
    _, params, state = networks.residual(networks.INTEGRATE_AND_FIRE)
    names = ("conv1", *(f"block{b}/conv{c}" for b in (1, 2) for c in (1, 2)))
    conversion.check(params, state, names)
    odd = changed(params, block1={"attention": {"kernel": 0}})
    with pytest.raises(ValueError, match="cannot convert block1: it holds attention, conv1, conv2, shortcut"):
        conversion.check(odd, state, names)


def test_a_direct_network_starts_as_the_converted_one():
    """With its own thresholds, without leak and with soft reset, it makes the same spikes: the loss is the same.

    Up to rounding, since its weights are scaled: a membrane at its threshold may turn a spike over.
    """
    relu, params, relu_state, apply, state = networks.twin(networks.residual)
    x, labels = networks.images(), jnp.asarray([0, 1, 2, 0, 1])
    net = conversion.thresholds_from_activations(
        params, state, conversion.largest_activations(relu, params, relu_state, [x[None]])
    )
    own = neurons.lif(leak=1.0, reset="soft", threshold=0.5)
    apply, start, constants = networks.residual(own, seed=5)
    start, constants = conversion.initialise(start, constants, net)
    train = encoding.direct(x, 25)
    ours, theirs = (jax.jit(apply)(*network, train)[0] for network in ((start, constants), (net.params, net.state)))
    counts = {name: float(count.sum()) for name, count in theirs.spike_counts.items()}
    assert {name: float(count.sum()) for name, count in ours.spike_counts.items()} == pytest.approx(counts, rel=0.005)
    loss = losses.squared_error(theirs.logits, labels)
    assert losses.squared_error(ours.logits, labels) == pytest.approx(float(loss), rel=0.02)
    thresholds = {name: constants[name]["constants"]["threshold"] for name in ("conv1", "fc1")}
    assert thresholds == {"conv1": 0.5, "fc1": 0.5}
    assert constants["block1"]["conv2"]["constants"]["threshold"] == 0.5
    assert constants["block2"]["conv2"]["constants"]["threshold"] != 0.5  # its shortcut has no weights to scale
    assert jax.tree.map(jnp.shape, start) == jax.tree.map(jnp.shape, params)


def test_another_network_cannot_start_from_it():
    relu, params, relu_state, _, state = networks.twin(networks.plain)
    found = conversion.largest_activations(relu, params, relu_state, [networks.images()[None]])
    net = conversion.thresholds_from_activations(params, state, found)
    _, wide, constants = networks.plain(neurons.spikebp(), width=2)
    with pytest.raises(ValueError, match=r"conv1 has a kernel \(3, 3, 2, 4\), here a kernel \(3, 3, 2, 8\)"):
        conversion.initialise(wide, constants, net)
    with pytest.raises(ValueError, match="fc1 has a kernel .*, here no such layer"):
        conversion.initialise({"conv1": params["conv1"]}, constants, net)
    _, learned, constants = networks.plain(neurons.lif(learn=("threshold",)))
    with pytest.raises(ValueError, match="the threshold of conv1 is learned"):
        conversion.initialise(learned, constants, net)
