"""Every member of every table in a small network, and all of them as one model, so that one program holds them."""

import jax
import jax.numpy as jnp
from flax import nnx

from jaxsnn import models, neurons
from jaxsnn.cells import CELLS
from jaxsnn.layers import NORMS, Attend, SelfAttention
from jaxsnn.models import Output
from jaxsnn.neurons import PARALLEL

STEPS, SIZE, CLASSES = 4, (4, 4, 2), 3
LIF = neurons.lif(leak=0.8)
SCALES = {"alif": 400.0, "adlif": 2000.0}
"""Their input is scaled by 1 minus the leak."""
FIXED = {"psn": {"steps": STEPS}, "masked_psn": {"steps": STEPS}, "sliding_psn": {"order": 2}}


def _dense(net):
    net.dense(5)


def _synapses(net):
    net.conv(4, groups=2)
    net.conv(4, dilation=2)
    net.pool()


def _joins(net):
    for number, how in enumerate(("sum", "and", "iand")):
        net.conv(4, name=f"a{number}")
        start = net.here()
        net.conv(4, name=f"b{number}")
        net.join(f"join{number}", (f"around{number}", start), how)


def _preactivation(net):
    net.conv(4, neurons=False)
    start = net.here()
    net.neurons()
    net.conv(4, neurons=False)
    net.join("join", ("around", start), neurons=True)


def _attention(net):
    net.conv(4)
    sent = net.here()
    more = {"k": (sent.source, Attend(keys=True)), "v": (sent.source, Attend())}
    net.add("attention", Attend(), net.options.neurons.hidden, more=more, join=SelfAttention(2))


def _members():
    yield "spikebp", _dense, {"neurons": neurons.spikebp()}
    for name, cell in CELLS.items():
        if cell.fires:
            yield f"cell {name}", _dense, {"neurons": neurons.of_cell(cell), "init_scale": SCALES.get(name, 12.0)}
    for name, make in PARALLEL.items():
        yield name, _dense, {"neurons": neurons.of_neuron(make(**FIXED[name]))}
    for connect in ("all", "others"):
        yield f"recurrent {connect}", _dense, {"recurrent": connect}
    yield "delays", _dense, {"delays": 2}
    yield "votes", _dense, {"votes": 2}
    for norm in NORMS:
        yield f"norm {norm}", lambda net: net.conv(4), {"norm": norm, "norm_groups": 2, "time_steps": STEPS}
    yield "synapses", _synapses, {"bias": True, "pool": "max"}
    yield "standardised", lambda net: net.conv(4), {"standardise": True}
    yield "joins", _joins, {"static_input": True}
    yield "preactivation", _preactivation, {}
    yield "attention", _attention, {}


MEMBERS = {name: (make, options) for name, make, options in _members()}


def all_of_them(dtype=jnp.float32):
    """`(apply, params, model_state)` by member; the logits are the sum of all members'."""
    applies, params, states = {}, {}, {}
    for number, (name, (make, options)) in enumerate(MEMBERS.items()):
        defaults = {"input_shape": SIZE, "num_classes": CLASSES, "init_scale": 12.0, "neurons": LIF}
        net = models.Builder(**defaults | options, param_dtype=dtype, rngs=nnx.Rngs(number))
        make(net)
        applies[name], params[name], states[name] = models.functionalize(net.finish())

    def apply(params, model_state, x, **options):
        outputs, after = {}, {}
        for name, run in applies.items():
            outputs[name], after[name] = run(params[name], model_state[name], x, **options)
        logits = sum(jnp.sin(output.logits) for output in outputs.values())
        return Output(logits, logits[None], logits[None], {}, {}, None), after

    return apply, params, states


def batch(size, dtype=jnp.float32):
    """Currents that stay for all steps, `[T, B, 4, 4, 2]`, and labels `[B]`."""
    images = jax.random.uniform(jax.random.key(0), (size, *SIZE), dtype, 0.2, 1.0)
    return jnp.broadcast_to(images, (STEPS, *images.shape)), jnp.arange(size) % CLASSES
