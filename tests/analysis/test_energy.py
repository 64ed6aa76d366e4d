"""Energies worked out by hand on the network of `hand`."""

import json

import numpy as np
import pytest

from jaxsnn import analysis
from jaxsnn.analysis import statistics
from jaxsnn.synapses import Connection
from tests.analysis import hand

SPIKES = [[0, 1, -1], [1, 0, 0]]  # currents: (3.2, 6.3, 2.7) and (1.3, 0, -1.1): three neurons fire, then one


@pytest.fixture(scope="module")
def observed():
    return hand.observe(SPIKES)


def test_operations_alone(observed):
    """First layer: three spikes to three neurons each; second: four spikes to two."""
    for table, mac, ac in (("int32", 3.2, 0.1), ("float32", 4.6, 0.9)):
        report = analysis.energy(observed, table=table)
        first, second = report.layer("fc1"), report.layer("fc2")
        assert (first.dense, first.acs, first.macs) == (9, 9, 0)
        assert (second.dense, second.acs, second.macs) == (6, 8, 0)
        assert (first.relu, first.spiking) == pytest.approx((9 * mac, 9 * ac))
        assert (second.relu, second.spiking) == pytest.approx((6 * mac, 8 * ac))
        assert first.ratio == pytest.approx(mac / ac)
        assert report.synapses.ratio == pytest.approx(15 * mac / (17 * ac))
        assert report.synapses == report.whole
        assert report.synapses.spike_rate == pytest.approx(17 / (2 * 15))
        assert report.synapses.break_even == pytest.approx(mac / ac / 2)  # T = 2
    assert json.loads(json.dumps(report.as_dict()))["synapses"]["ratio"] == pytest.approx(15 * 4.6 / (17 * 0.9))


def test_the_same_in_float64(x64, observed):
    again = hand.observe(SPIKES)
    np.testing.assert_array_equal(again.operations["fc2"], observed.operations["fc2"])
    np.testing.assert_array_equal(again.answers.correct, observed.answers.correct)


def test_analog_input_multiplies():
    """Halves are no spikes: MACs in the first layer, at every step; the rate that breaks even is the second layer's."""
    report = analysis.energy(hand.observe([[0, 1, -0.5], [1, 0, 0]]))
    first = report.layer("fc1")
    assert (first.macs, first.acs) == (9, 0)
    assert first.spiking == pytest.approx(9 * 3.2)
    assert np.isnan(first.break_even)
    assert report.as_dict()["layers"]["fc1"]["break_even"] is None
    assert report.synapses.break_even == pytest.approx((15 * 3.2 - 9 * 3.2) / (2 * 6 * 0.1))


@pytest.mark.parametrize(("table", "mac", "ac"), [("int32", 3.2, 0.1), ("float32", 4.6, 0.9)])
def test_with_the_neurons_own_arithmetic(observed, table, mac, ac):
    """Five neurons, two steps: one multiplication (a MAC less an AC) and one comparison (an AC) each."""
    alone, report = analysis.energy(observed, table=table), analysis.energy(observed, table=table, neurons=True)
    assert report.layer("fc1").spiking == pytest.approx(9 * ac + 2 * 3 * mac)
    assert report.synapses.spiking == pytest.approx(17 * ac + 2 * 5 * mac)
    assert report.synapses.relu == alone.synapses.relu
    assert report.synapses.break_even == pytest.approx((15 * mac - 10 * mac) / (2 * 15 * ac))
    assert report.whole == report.synapses
    unleaky = analysis.energy(observed, table=table, neurons=True, leaky=False)
    assert unleaky.synapses.spiking == pytest.approx(17 * ac + 2 * 5 * ac)
    assert report.assumptions == analysis.NEURONS
    analog = analysis.energy(hand.observe([[0, 1, -0.5], [1, 0, 0]]), table=table, neurons=True)
    assert analog.synapses.break_even == pytest.approx((15 * mac - 9 * mac - 10 * mac) / (2 * 6 * ac))


def test_pools_neither_leak_nor_add_among_the_synapses(observed):
    """Their neurons compare; a shortcut's neurons are those of the convolution that it feeds."""
    pool = Connection("pool1", "fc1", "pool1", "pool", (2, 2), 2, hand.NO_PADS, (2, 2, 3), (1, 1, 3))
    shortcut = Connection("short", "input", "fc2", "subsample", (), 1, hand.NO_PADS, (1, 1, 2), (1, 1, 2))
    counts = analysis.counts(observed)
    counts = counts._replace(
        connections=(*counts.connections, pool, shortcut), operations={**counts.operations, "pool1": 7, "short": 5}
    )
    alone, report = analysis.energy(counts), analysis.energy(counts, neurons=True)
    assert alone.synapses.spiking == pytest.approx(17 * 0.1)
    assert report.synapses.spiking == pytest.approx(17 * 0.1 + 2 * (5 * 3.2 + 3 * 0.1))
    assert report.layer("pool1").spiking == pytest.approx(7 * 0.1 + 2 * 3 * 0.1)
    assert report.layer("short").spiking == pytest.approx(5 * 0.1)
    assert report.whole.spiking == pytest.approx(report.synapses.spiking + 12 * 0.1)
    assert report.whole.relu == pytest.approx(15 * 3.2 + (12 + 2) * 0.1)


def test_with_memory(observed):
    """8 kB, 5 pJ per word, by hand from the assumptions."""
    report = analysis.energy(observed, memory="8 kB")
    first, second = report.layer("fc1"), report.layer("fc2")
    assert first.relu == pytest.approx(9 * (3.2 + 2 * 5) + 3 * 5)
    assert second.relu == pytest.approx(6 * (3.2 + 2 * 5) + 2 * 5)
    updates = 2 * (2 * 5 + 0.1 + 3.1)  # of one neuron over two steps
    assert first.spiking == pytest.approx(9 * (0.1 + 3 * 5) + 3 * updates + 3 * 5 + 4 * 5)  # 3 spikes read, 4 written
    assert second.spiking == pytest.approx(8 * (0.1 + 3 * 5) + 2 * updates + 4 * 5)
    rate = report.synapses.break_even
    fixed = sum(row.fixed for row in report.layers)
    assert rate * 2 * 15 * (0.1 + 15) + fixed == pytest.approx(report.synapses.relu)
    for text in analysis.ASSUMPTIONS:
        assert f"assumed: {text}" in str(report)
    assert "with memory of 8 kB: 5 pJ per word" in str(report)
    assert analysis.energy(observed, memory="8 kB", neurons=True) == report  # which counts them anyway
    assert "never" in str(analysis.energy(hand.observe(SPIKES * 9), memory="DRAM"))


def test_the_table_says_what_it_holds(observed):
    lines = str(analysis.energy(observed)).splitlines()
    head = "Energy of one inference, 45 nm, int32: MAC 3.2 pJ, AC 0.1 pJ (Horowitz 2014); "
    assert lines[0] == head + "synaptic operations alone"
    both = "synaptic operations and the neurons' own arithmetic"
    assert str(analysis.energy(observed, neurons=True)).splitlines()[0] == head + both
    assert lines[1].startswith("T = 2, operations of the spiking network: mean of 1 samples")
    row = next(line for line in lines if line.startswith("synapses")).split()
    assert row == ["synapses", "15", "17", "AC", "0.05", "0.00", "28.24", "0.5667", "16.0000"]


def test_a_silent_network_is_plain_data():
    """Nothing is spent, so that the ratio is infinite, which JSON does not know."""
    report = analysis.energy(hand.observe([[0, 0, 0], [0, 0, 0]]))
    assert report.synapses.ratio == float("inf")
    assert report.as_dict()["synapses"]["ratio"] is None
    json.dumps(report.as_dict(), allow_nan=False)


def test_unknown_names(observed):
    with pytest.raises(ValueError, match="unknown table 'int8': known are int32, float32"):
        analysis.energy(observed, table="int8")
    with pytest.raises(ValueError, match="unknown memory '1 TB': known are 8 kB, 32 kB, 1 MB, DRAM"):
        analysis.energy(observed, memory="1 TB")
    with pytest.raises(KeyError, match="no layer 'fc9': there are fc1, fc2"):
        analysis.energy(observed).layer("fc9")


def test_neurobench_by_hand():
    """The harness's own example (4 effective operations of 9 at the first step), then one more step and layer."""
    first_step = hand.observe([[0, 1.3, -1]], effective=True)
    assert first_step.operations["fc1"] == [4]
    found = analysis.neurobench(first_step, hand.PARAMS, {"leak": np.float32(1)})
    assert (found.effective_macs, found.dense) == (4, 9 + 6)  # 1.3 is no spike
    found = analysis.neurobench(hand.observe(SPIKES, effective=True), hand.PARAMS, {"leak": np.float32(1)})
    assert found.effective_macs == 0
    assert found.effective_acs == (4 + 2) + (1 + 2 + 1) + 1  # first layer; second layer's spikes at both steps
    assert found.dense == 2 * (9 + 6)
    assert found.connection_sparsity == pytest.approx((3 + 2) / (9 + 6))
    assert found.activation_sparsity == pytest.approx(1 - 4 / 6)
    assert found.footprint == 4 * (9 + 6 + 1)


def test_neurobench_leaves_weights_of_zero_out(observed):
    with pytest.raises(ValueError, match="5 of the weights are 0: observe with make_profile.*effective=True"):
        analysis.neurobench(observed, hand.PARAMS, {})


def test_with_memory_for_pools_shortcuts_and_analog_input(observed):
    """8 kB, 5 pJ per word, by hand: a pool's neurons do not multiply, a shortcut has no neurons of its own."""
    pool = Connection("pool1", "fc1", "pool1", "pool", (2, 2), 2, hand.NO_PADS, (2, 2, 3), (1, 1, 3))
    plain = Connection("plain", "input", "fc2", "subsample", (), 1, hand.NO_PADS, (1, 1, 2), (1, 1, 2))
    weighted = Connection("around", "fc1", "fc2", "dense", (3, 2), 1, hand.NO_PADS, (3,), (2,))
    whole = analysis.counts(observed)
    counts = whole._replace(
        connections=(*whole.connections, pool, plain, weighted),
        operations={**whole.operations, "pool1": 7, "plain": 5, "around": 8},
        spikes={**whole.spikes, "pool1": 2, "fc2": 6},  # beside 3 of the input and 4 of fc1
    )
    report = analysis.energy(counts, memory="8 kB")
    found = {row.name: (row.relu, row.spiking) for row in report.layers}
    assert found["pool1"] == pytest.approx(
        (12 * (0.1 + 5) + 3 * 5, 7 * (0.1 + 2 * 5) + 2 * 3 * (2 * 5 + 0.1) + 4 * 5 + 2 * 5)
    )
    assert found["plain"] == pytest.approx((2 * (0.1 + 5), 5 * (0.1 + 2 * 5) + 3 * 5))
    assert found["around"] == pytest.approx((6 * (3.2 + 2 * 5), 8 * (0.1 + 3 * 5) + 4 * 5))
    assert report.whole.spiking == pytest.approx(sum(spiking for _, spiking in found.values()))
    unleaky = analysis.energy(counts, memory="8 kB", leaky=False)
    assert unleaky.layer("pool1") == report.layer("pool1")
    assert report.layer("fc1").spiking - unleaky.layer("fc1").spiking == pytest.approx(2 * 3 * 3.1)
    analog = analysis.energy(counts._replace(analog={**counts.analog, "input": True}), memory="8 kB")
    updates = 2 * (2 * 5 + 0.1 + 3.1)
    # every operation reads its activation, so no spike is read once for all
    assert analog.layer("fc1").spiking == pytest.approx(9 * (3.2 + 4 * 5) + 3 * updates + 4 * 5)
    assert analog.layer("plain").spiking == pytest.approx(5 * (0.1 + 3 * 5))


@pytest.mark.parametrize(
    ("fits", "too_many"),  # neurons, features, steps, samples: 2^31 - 1 = 2,147,483,647
    [
        ((1, 1000, 2_147_483, 1), (1, 1000, 2_147_484, 1)),  # products of one neuron
        ((2**19 - 1, 1, 1, 1), (2**19, 1, 1, 1)),  # lower halves of the products of all neurons
        ((1000, 1, 2_147_483, 1), (1000, 1, 2_147_484, 1)),  # spikes of a sample
        ((1, 1, 2**20, 2**11 - 1), (1, 1, 2**20, 2**11)),  # spikes of a neuron in a batch
    ],
)
def test_counts_that_just_fit_and_just_do_not(fits, too_many):
    def check(neurons, features, steps, batch):
        wide = Connection("fc1", "input", "fc1", "dense", (neurons, features), 1, hand.NO_PADS, (neurons,), (features,))
        statistics.check_counts([wide], steps, batch)

    check(*fits)
    with pytest.raises(ValueError, match="counts of fc1 might exceed int32"):
        check(*too_many)
    assert statistics.largest_sum((500_000,), 8192, 2147) < 2**31 <= statistics.largest_sum((500_000,), 8192, 2148)


@pytest.mark.parametrize("memory", [None, "8 kB"])
def test_a_bias_is_added_once_per_output_and_step(observed, memory):
    counts = analysis.counts(observed)
    first, *others = counts.connections
    biased = counts._replace(connections=(first._replace(bias=True), *others))
    before, after = (analysis.energy(each, memory=memory).layer("fc1") for each in (counts, biased))
    assert after.relu - before.relu == pytest.approx(3 * 0.1)
    assert after.spiking - before.spiking == pytest.approx(2 * 3 * 0.1)
