"""What is refused, by name; starting a spiking network from a converted one."""

import jax
import jax.numpy as jnp
import pytest

from jaxsnn import conversion, encoding, losses, neurons
from tests.conversion import networks


def changed(tree, **entries):
    return tree | {name: tree.get(name, {}) | entry for name, entry in entries.items()}


@pytest.mark.parametrize(
    ("params", "state", "message"),
    [
        ({"fc1": {"bias": 0}}, {}, "cannot convert the layer fc1: it has bias. Known are layers whose only"),
        ({"conv1": {"scale": 0, "bias": 0}}, {}, "cannot convert the layer conv1: it has bias, scale"),
        ({"fc1": {"norm": {"scale": 0}}}, {}, "cannot convert the layer fc1: it has norm"),
        (
            {"fc1": {"neurons": {"threshold_log": 0}}},
            {},
            "convert the layer fc1: it learns threshold_log; build",
        ),
        ({"fc2": {"neurons": {"leak_logit": 0}}}, {}, "cannot convert the layer fc2: it learns leak_logit"),
        ({}, {"pool1": {"neurons": {"maximum": 0}}}, "cannot convert the layer pool1: its neurons have no threshold"),
    ],
)
def test_layers_that_are_not_known_are_named(params, state, message):
    _, have, constants = networks.plain(networks.INTEGRATE_AND_FIRE, pool="spiking")
    links = networks.connections(networks.plain, pool="spiking")
    with pytest.raises(ValueError, match=message):
        conversion.check(changed(have, **params), changed(constants, **state), links)


def test_leaks_and_strange_sums_are_named():
    links = networks.connections(networks.plain, pool="spiking")
    _, params, state = networks.plain(neurons.spikebp(leak=0.9), pool="spiking")
    with pytest.raises(ValueError, match=r"cannot convert the layer conv1: its neurons leak \(0.(89|9)"):
        conversion.check(params, state, links)
    _, params, state = networks.plain(neurons.lif(leak=0.9, learn=("leak",)), pool="spiking")
    with pytest.raises(ValueError, match="conv1: it learns leak_logit; build the network with neurons.lif"):
        conversion.check(params, state, links)
    _, params, state = networks.plain(networks.INTEGRATE_AND_FIRE, pool="spiking")
    with pytest.raises(
        ValueError, match="cannot convert pool1: a pool with neurons, and its activations are not known"
    ):
        conversion.check(params, state, links, ("conv1", "fc1"))
    _, params, state = networks.residual(networks.INTEGRATE_AND_FIRE)
    links = networks.connections(networks.residual)
    conversion.check(params, state, links)
    more = next(link for link in links if link.name == "block1/shortcut")
    with pytest.raises(ValueError, match="conv2: it sums the currents of block1/conv2, block1/shortcut, block1/x"):
        conversion.check(params, state, (*links, more._replace(name="block1/x")))


def test_a_direct_network_starts_as_the_converted_one():
    """With its own thresholds, without leak and with soft reset, it makes the same spikes: the loss is the same.

    Up to rounding, since its weights are scaled: a membrane at its threshold may turn a spike over.
    """
    relu, params, relu_state, apply, state = networks.twin(networks.residual)
    x, labels = networks.images(), jnp.asarray([0, 1, 2, 0, 1])
    net = conversion.thresholds_from_activations(
        params,
        state,
        links := networks.connections(networks.residual),
        conversion.largest_activations(relu, params, relu_state, [x[None]]),
    )
    own = neurons.lif(leak=1.0, reset="soft", threshold=0.5)
    apply, start, constants = networks.residual(own, seed=5)
    start, constants = conversion.initialise(start, constants, net, links)
    train = encoding.direct(x, 25)
    ours, theirs = (jax.jit(apply)(*network, train)[0] for network in ((start, constants), (net.params, net.state)))
    counts = {name: float(count.sum()) for name, count in theirs.spike_counts.items()}
    assert {name: float(count.sum()) for name, count in ours.spike_counts.items()} == pytest.approx(counts, rel=0.005)
    loss = losses.squared_error(theirs.logits, labels)
    assert losses.squared_error(ours.logits, labels) == pytest.approx(float(loss), rel=0.02)
    thresholds = {name: constants[name]["neurons"]["threshold"] for name in ("conv1", "fc1")}
    assert thresholds == {"conv1": 0.5, "fc1": 0.5}
    assert constants["block1"]["conv2"]["neurons"]["threshold"] == 0.5
    assert constants["block2"]["conv2"]["neurons"]["threshold"] != 0.5  # its shortcut has no weights to scale
    assert jax.tree.map(jnp.shape, start) == jax.tree.map(jnp.shape, params)


def test_another_network_cannot_start_from_it():
    relu, params, relu_state, _, state = networks.twin(networks.plain)
    found = conversion.largest_activations(relu, params, relu_state, [networks.images()[None]])
    links = networks.connections(networks.plain)
    net = conversion.thresholds_from_activations(params, state, links, found)
    _, wide, constants = networks.plain(neurons.spikebp(), width=2)
    with pytest.raises(ValueError, match=r"conv1 has a kernel \(3, 3, 2, 8\) here, there a kernel \(3, 3, 2, 4\)"):
        conversion.initialise(wide, constants, net, links)
    short = net._replace(state={name: part for name, part in net.state.items() if name != "fc1"})
    with pytest.raises(ValueError, match="it has no layer fc1"):
        conversion.initialise(params, state, short, links)
    with pytest.raises(ValueError, match="fc1 have no counterpart: no such layer"):
        conversion.initialise(params, state, net, [link for link in links if link.name != "fc1"])
    _, learned, constants = networks.plain(neurons.lif(learn=("threshold",)))
    with pytest.raises(ValueError, match="the threshold of conv1 is learned"):
        conversion.initialise(learned, constants, net, links)
