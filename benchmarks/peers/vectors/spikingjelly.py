"""SpikingJelly: neurons in multi-step mode, all with ATan, and surrogates."""

from collections.abc import Iterator

import numpy as np

from benchmarks.peers.vectors.case import STEPS, Case, Members, torch_case, torch_surrogate

NEURONS: Members = [
    ("IFNode", {}),
    ("IFNode", {"v_reset": None, "detach_reset": True}),
    ("LIFNode", {"tau": 2.5}),
    ("LIFNode", {"tau": 2.5, "decay_input": False, "detach_reset": True}),
    ("LIFNode", {"tau": 3.0, "decay_input": False, "v_reset": None, "v_threshold": 1.2}),
    ("LIFNode", {"tau": 3.0, "decay_input": False, "v_reset": -0.3, "v_threshold": 0.9}),
    ("LIFNode", {"tau": 1.7, "v_reset": 0.2, "detach_reset": True}),
    ("ParametricLIFNode", {"init_tau": 2.0, "detach_reset": True}),
    ("ParametricLIFNode", {"init_tau": 3.0, "decay_input": False, "v_reset": None}),
    ("KLIFNode", {"tau": 1.6}),
    ("KLIFNode", {"tau": 2.0, "decay_input": False, "scale_reset": True, "v_reset": None, "detach_reset": True}),
    ("ComplementaryLIFNode", {"tau": 2.0}),
    ("CUBALIFNode", {"c_decay": 0.5, "v_decay": 0.75, "v_threshold": 0.5}),
    ("CUBALIFNode", {"c_decay": 0.3, "v_decay": 0.6, "v_reset": None}),
    ("GatedLIFNode", {"T": STEPS}),
    ("IzhikevichNode", {"tau": 2.0, "a": 0.3, "b": 0.2}),
    ("IzhikevichNode", {"tau": 1.5, "v_reset": -0.2, "v_rest": -0.25, "a": 0.1, "detach_reset": True}),
    ("RAFNode", {"b": -0.2, "omega": 1.1, "dt": 0.9}),
    ("PSN", {"T": STEPS}),
    ("MaskedPSN", {"k": 3, "T": STEPS, "lambda_init": 1.0}),
    ("MaskedPSN", {"k": 3, "T": STEPS, "lambda_init": 0.4}),
    ("SlidingPSN", {"k": 4}),
]
"""Members of `spikingjelly.activation_based.neuron`; their surrogate is ATan."""

SURROGATES: Members = [
    ("PiecewiseQuadratic", {"alpha": 0.8}),
    ("PiecewiseExp", {"alpha": 1.5}),
    ("Sigmoid", {"alpha": 4.0}),
    ("SoftSign", {"alpha": 2.0}),
    ("SuperSpike", {"alpha": 1.5}),
    ("ATan", {"alpha": 2.0}),
    ("NonzeroSignLogAbs", {"alpha": 1.3}),
    ("Erf", {"alpha": 2.0}),
    ("PiecewiseLeakyReLU", {"w": 0.8, "c": 0.02}),
    ("SquarewaveFourierSeries", {"n": 3, "T_period": 8.0}),
    ("S2NN", {"alpha": 4.0, "beta": 0.7}),
    ("QPseudoSpike", {"alpha": 2.5}),
    ("LeakyKReLU", {"leak": 0.1, "k": 0.9}),
    ("FakeNumericalGradient", {"alpha": 0.8}),
    ("LogTailedReLU", {"alpha": 0.1}),
    ("DeterministicPass", {}),
    ("Rect", {"alpha": 0.7}),
]
"""Members of `spikingjelly.activation_based.surrogate`."""


def neurons() -> Iterator[Case]:
    import torch
    from spikingjelly.activation_based import neuron, surrogate

    np.random.seed(0)  # noqa: NPY002  GatedLIFNode draws its gates here
    torch.manual_seed(0)
    for name, arguments in NEURONS:
        made = getattr(neuron, name)(surrogate_function=surrogate.ATan(), **arguments)
        made.step_mode = "m"
        made.double()
        if "PSN" in name:  # few would fire
            made.bias.data.fill_(-0.3)
            made.weight.data.mul_(2)
        yield torch_case("neuron", name, arguments, made, dict(made.named_parameters()))


def surrogates() -> Iterator[Case]:
    from spikingjelly.activation_based import surrogate

    for name, arguments in SURROGATES:
        yield torch_surrogate(name, arguments, getattr(surrogate, name)(**arguments))
