"""Outputs and gradients of our neurons, by the table of docs/equivalence.md, and those of other libraries."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsnn import neurons, unroll
from jaxsnn.cells import (
    Cell,
    alif,
    clif,
    glif,
    integrate_and_fire,
    izhikevich,
    klif,
    lif,
    plif,
    resonate_and_fire,
    synaptic,
)
from jaxsnn.surrogate import arctan, super_spike
from tests.peers import recorded


class Ours(NamedTuple):
    """The cell that does what a member of a library does."""

    cell: Cell
    params: Callable[[dict], Any]
    """From the parameters that their member learns."""
    spike: Any = arctan
    late: bool = False
    """Whether theirs sends the spikes one step later."""
    currents: Callable[[jax.Array], jax.Array] = lambda x: x


def reset_of(v_reset):
    return "soft" if v_reset is None else "hard"


def sj_if(v_reset=0.0, detach_reset=False):
    cell = integrate_and_fire.cell(reset=reset_of(v_reset), detach_reset=detach_reset)
    return Ours(cell, lambda p: integrate_and_fire.IFParams(1.0))


def sj_lif(tau, decay_input=True, v_reset=0.0, v_threshold=1.0, detach_reset=False):
    """Its `v_reset` is the resting potential too, from which we measure."""
    cell = lif.cell(reset=reset_of(v_reset), leak_first=True, scale_input=decay_input, detach_reset=detach_reset)
    return Ours(cell, lambda p: lif.LIFParams(1 - 1 / tau, v_threshold - (v_reset or 0)))


def sj_plif(init_tau, decay_input=True, v_reset=0.0, detach_reset=False):
    cell = plif.cell(reset=reset_of(v_reset), scale_input=decay_input, detach_reset=detach_reset)
    return Ours(cell, lambda p: plif.PLIFParams(1 - jax.nn.sigmoid(p["w"]), 1.0))


def sj_klif(tau, decay_input=True, v_reset=0.0, detach_reset=False, scale_reset=False):
    options = {"scale_input": decay_input, "detach_reset": detach_reset, "scale_reset": scale_reset}
    cell = klif.cell(reset=reset_of(v_reset), **options)
    return Ours(cell, lambda p: klif.KLIFParams(1 - 1 / tau, 1.0, p["k"]))


def sj_cuba(c_decay, v_decay, v_threshold=0.5, v_reset=0.0):
    cell = synaptic.cell(reset=reset_of(v_reset), detach_reset=False)
    return Ours(cell, lambda p: synaptic.SynapticParams(c_decay, v_decay, v_threshold))


def sj_glif(T):
    names = ("alpha", "beta", "gamma", "tau", "v_threshold", "linear_decay", "v_subreset")

    def params(p):
        gates = [jax.nn.sigmoid(p[name]) for name in names]
        return glif.GLIFParams(*gates, jnp.mean(jax.nn.sigmoid(p["conduct"])))

    return Ours(glif.cell(), params)


def sj_izhikevich(tau, a, b=0.0, v_reset=0.0, v_rest=-0.1, detach_reset=False):
    params = izhikevich.IzhikevichParams(tau, 1 - v_reset, v_rest - v_reset, 0.8 - v_reset, 1.0, 2.0, a, b)
    return Ours(izhikevich.cell(detach_reset=detach_reset), lambda p: params)


def sj_raf(b, omega, dt):
    cell = resonate_and_fire.cell(part="imaginary", reset="hard", detach_reset=False)
    return Ours(cell, lambda p: resonate_and_fire.ResonateParams(-b * dt, omega * dt))


RESETS = {
    ("subtract", True): {"reset": "delayed"},
    ("subtract", False): {"reset": "soft", "leak_first": True, "detach_reset": False},
    ("zero", True): {"reset": "hard"},
    ("zero", False): {"reset": "hard", "leak_first": True, "detach_reset": False},
    ("none", True): {"reset": "none"},
}


def snn_leaky(beta, reset_mechanism="subtract", reset_delay=True, threshold=1.0, linear_features=None):
    cell = lif.cell(**RESETS[reset_mechanism, reset_delay])
    return Ours(cell, lambda p: lif.LIFParams(p["beta"], p["threshold"]))


def snn_synaptic(alpha, beta, threshold, reset_mechanism="subtract", reset_delay=True):
    cell = synaptic.cell(**RESETS[reset_mechanism, reset_delay])
    return Ours(cell, lambda p: synaptic.SynapticParams(p["alpha"], p["beta"], p["threshold"]))


DT = 1e-3


def norse_lif(tau_syn_inv, tau_mem_inv, v_th, detach_reset=False):
    params = synaptic.SynapticParams(1 - DT * tau_syn_inv, 1 - DT * tau_mem_inv, v_th)
    cell = synaptic.cell(reset="hard", leak_first=True, scale_input=True, detach_reset=detach_reset)
    return Ours(cell, lambda p: params, super_spike)


def norse_lsnn(tau_syn_inv, tau_mem_inv, tau_adapt_inv, v_th, beta):
    """It filters its input, one step late; the cell gets the current that arrives."""
    decay, leak, slow = (1 - DT * rate for rate in (tau_syn_inv, tau_mem_inv, tau_adapt_inv))

    def currents(x):
        def step(i, x):
            return decay * i + x, i

        return jax.lax.scan(step, jnp.zeros_like(x[0]), x)[1]

    params = alif.ALIFParams(leak, v_th, slow, slow * beta / (1 - slow))
    cell = alif.cell(reset="hard", detach_reset=False)
    return Ours(cell, lambda p: params, super_spike, currents=currents)


spyx_arctan = partial(arctan, height=1 / math.pi)


def spyx_if():
    return Ours(integrate_and_fire.cell(reset="soft", detach_reset=False), lambda p: (), spyx_arctan, late=True)


def spyx_lif(beta):
    cell = lif.cell(reset="delayed", detach_reset=False)
    return Ours(cell, lambda p: lif.LIFParams(p["beta"], 1.0), spyx_arctan, late=True)


def spyx_alif(beta, gamma):
    cell = alif.cell(detach_reset=False, scale_input=False)
    return Ours(cell, lambda p: alif.ALIFParams(p["beta"], 1.0, p["gamma"], 1.0), spyx_arctan, late=True)


def spyx_cuba(alpha, beta):
    cell = synaptic.cell(reset="soft", detach_reset=False)
    return Ours(cell, lambda p: synaptic.SynapticParams(p["alpha"], p["beta"]), spyx_arctan, late=True)


def spyx_resonate(lambda_init, omega_init):
    def params(p):
        return resonate_and_fire.ResonateParams(jax.nn.softplus(p["raw_lambda"]), p["omega"])

    return Ours(resonate_and_fire.cell(), params, spyx_arctan)


OURS = {
    "IFNode": sj_if,
    "LIFNode": sj_lif,
    "ParametricLIFNode": sj_plif,
    "KLIFNode": sj_klif,
    "ComplementaryLIFNode": lambda tau: Ours(clif.CELL, lambda p: clif.CLIFParams(1 - 1 / tau)),
    "CUBALIFNode": sj_cuba,
    "GatedLIFNode": sj_glif,
    "IzhikevichNode": sj_izhikevich,
    "RAFNode": sj_raf,
    "Leaky": snn_leaky,
    "Synaptic": snn_synaptic,
    "lif_feed_forward_step": norse_lif,
    "lsnn_feed_forward_step": norse_lsnn,
    "IF": spyx_if,
    "LIF": spyx_lif,
    "ALIF": spyx_alif,
    "CuBaLIF": spyx_cuba,
    "ResonateFire": spyx_resonate,
}


def rleaky(beta, linear_features):
    return snn_leaky(beta), lambda p: p["recurrent_weight"].T, lambda p: p["recurrent_bias"]


def norse_recurrent(**arguments):
    return norse_lif(**arguments, detach_reset=True), lambda p: p["weights"].T, lambda p: jnp.zeros(())


def rlif(beta):
    return spyx_lif(beta), lambda p: p["recurrent_w"], lambda p: jnp.zeros(())


RECURRENT = {"RLeaky": rleaky, "lif_step": norse_recurrent, "RLIF": rlif}
"""The cell, its recurrent weights `[from, to]` and a bias, which we do not have, from those of theirs."""


def single(number):
    """As PyTorch holds it, in float32."""
    return jnp.float64(np.float32(number))


PARALLEL = {
    "PSN": lambda T: (neurons.psn(T), {}),
    "MaskedPSN": lambda k, T, lambda_init: (neurons.masked_psn(T, order=k), {"masking": single(lambda_init)}),
    "SlidingPSN": lambda k: (neurons.sliding_psn(order=k), {}),
}


def compare(case, run, late=False):
    """`run(theirs, x) -> y` against the recorded outputs and gradients of `x` and of every learned parameter."""
    arrays = case.arrays
    theirs = {name[2:]: arrays[name[2:]] for name in arrays if name.startswith("d_") and name != "d_x"}
    single = arrays["y"].dtype == np.float32
    x, g = (jnp.asarray(arrays[name]) for name in ("x", "g"))

    @jax.jit
    def ours(theirs, x, g):
        y, pull = jax.vjp(run, theirs, x)
        return y, *pull(jnp.concatenate([g[1:], jnp.zeros_like(g[:1])]) if late else g)

    y, d_theirs, d_x = jax.device_get(ours(theirs, x, g))
    expected = arrays["y"]
    np.testing.assert_array_equal(*((y[:-1], expected[1:]) if late else (y, expected)))
    assert 0.05 < expected.mean() < 0.99
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if single else {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_allclose(d_x, arrays["d_x"], **tolerance)
    for name, found in d_theirs.items():
        wanted, shape = arrays[f"d_{name}"], np.shape(theirs[name])
        if name == "conduct":  # ours has one for all steps
            found, wanted = found.sum(), wanted.sum()
        np.testing.assert_allclose(found, wanted, **tolerance, err_msg=f"{name} {shape}")
    assert np.abs(d_x).max() > 0.1


def members(names):
    return pytest.mark.parametrize("case", [case for case in recorded.cases("neuron") if case.name in names], ids=str)


@members(OURS)
def test_neurons_are_theirs(case, x64):
    ours = OURS[case.name](**case.arguments)

    def run(theirs, x):
        params = ours.params(theirs) or ours.cell.params()
        step = partial(ours.cell.step, params, spike=ours.spike)
        currents = ours.currents(x)
        return unroll(step, ours.cell.init(params, x.shape[1:], x.dtype), currents).outputs

    compare(case, run, ours.late)


@members(RECURRENT)
def test_recurrent_neurons_are_theirs(case, x64):
    ours, weights, bias = RECURRENT[case.name](**case.arguments)
    neuron = neurons.bptt(ours.cell, ours.spike)

    def run(theirs, x):
        params = ours.params(theirs)
        rest = neurons.RecurrentState(neuron.init(params, x.shape[1:], x.dtype), jnp.zeros_like(x[0]))
        currents = x + jnp.broadcast_to(bias(theirs), x.shape)
        return neurons.run_recurrent(neuron, lambda w, s: s @ w, params, weights(theirs), rest, currents)[1]

    compare(case, run, ours.late)


@members(PARALLEL)
def test_parallel_neurons_are_theirs(case, x64):
    neuron, constants = PARALLEL[case.name](**case.arguments)

    def run(theirs, x):
        bias = theirs["bias"]
        params = neuron.params._replace(weight=theirs["weight"], bias=bias[:, 0] if bias.ndim else bias, **constants)
        return neuron.run(params, neuron.init(params, x.shape[1:], x.dtype), x)[1]

    compare(case, run)


def test_every_recorded_neuron_is_compared():
    assert {case.name for case in recorded.cases("neuron")} == {*OURS, *RECURRENT, *PARALLEL}
