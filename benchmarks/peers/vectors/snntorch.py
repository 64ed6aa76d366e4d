"""snnTorch: neurons with an arctan that keeps float64, and surrogates."""

from collections.abc import Iterator

from benchmarks.peers.vectors.case import NEURONS as COUNT
from benchmarks.peers.vectors.case import Case, Members, recurrent_weights, torch_case, torch_surrogate

NEURONS: Members = [
    ("Leaky", {"beta": 0.8, "reset_mechanism": "subtract"}),
    ("Leaky", {"beta": 0.8, "reset_mechanism": "subtract", "reset_delay": False, "threshold": 2.0}),
    ("Leaky", {"beta": 0.7, "reset_mechanism": "zero"}),
    ("Leaky", {"beta": 0.7, "reset_mechanism": "zero", "reset_delay": False}),
    ("Leaky", {"beta": 0.6, "reset_mechanism": "none"}),
    ("Synaptic", {"alpha": 0.6, "beta": 0.5, "threshold": 1.5}),
    ("Synaptic", {"alpha": 0.6, "beta": 0.5, "threshold": 1.5, "reset_mechanism": "zero", "reset_delay": False}),
    ("RLeaky", {"beta": 0.8, "linear_features": COUNT}),
]
SURROGATES: Members = [
    ("straight_through_estimator", {}),
    ("fast_sigmoid", {"slope": 25}),
    ("atan", {"alpha": 2.0}),
    ("sigmoid", {"slope": 4}),
    ("heaviside", {}),
]


def neurons() -> Iterator[Case]:
    import snntorch
    import torch

    class Arctan(torch.autograd.Function):
        """snnTorch's own casts spikes to float32."""

        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return (x > 0).to(x.dtype)

        @staticmethod
        def backward(ctx, g):
            return g / (1 + (torch.pi * ctx.saved_tensors[0]) ** 2)

    for name, arguments in NEURONS:
        learned = ["learn_beta", "learn_threshold", *(["learn_alpha"] if name == "Synaptic" else [])]
        made = getattr(snntorch, name)(spike_grad=Arctan.apply, **dict.fromkeys(learned, True), **arguments).double()
        if name == "RLeaky":
            made.recurrent.weight.data = torch.from_numpy(recurrent_weights().T.copy())
            made.recurrent.bias.data.zero_()
        state = (None,) * (1 if name == "Leaky" else 2)

        def forward(x, made=made, state=state):
            spikes = []
            for current in x:
                fired, *state = made(current, *state)
                state = [fired, *state] if isinstance(made, snntorch.RLeaky) else state
                spikes.append(fired)
            return torch.stack(spikes)

        parameters = {label.replace(".", "_"): tensor for label, tensor in made.named_parameters()}
        yield torch_case("neuron", name, arguments, forward, parameters)


def surrogates() -> Iterator[Case]:
    from snntorch import surrogate

    for name, arguments in SURROGATES:
        yield torch_surrogate(name, arguments, getattr(surrogate, name)(**arguments))
