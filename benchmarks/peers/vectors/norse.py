"""Norse: neurons with its SuperSpike, and surrogates."""

from collections.abc import Iterator

from benchmarks.peers.vectors.case import BATCH, Case, recurrent_weights, torch_case, torch_surrogate
from benchmarks.peers.vectors.case import NEURONS as COUNT

NEURONS = [
    ("lif_feed_forward_step", "LIF", {"tau_syn_inv": 400.0, "tau_mem_inv": 300.0, "v_th": 0.7}),
    ("lif_step", "LIF", {"tau_syn_inv": 400.0, "tau_mem_inv": 300.0, "v_th": 0.7}),
    (
        "lsnn_feed_forward_step",
        "LSNN",
        {"tau_syn_inv": 400.0, "tau_mem_inv": 300.0, "tau_adapt_inv": 200.0, "v_th": 0.7, "beta": 0.4},
    ),
]
SURROGATES = [("super", 1.0), ("triangle", 0.3), ("tanh", 1.2), ("circ", 0.7), ("heavi_erfc", 1.2)]


def neurons() -> Iterator[Case]:
    import torch
    from norse.torch.functional import lif, lsnn

    zeros = torch.zeros(BATCH, COUNT, dtype=torch.float64)
    identity, weights = torch.eye(COUNT, dtype=torch.float64), torch.from_numpy(recurrent_weights().T.copy())
    for name, model, arguments in NEURONS:
        tensors = {label: torch.tensor(value, dtype=torch.float64) for label, value in arguments.items()}
        module, recurrent = (lif, name == "lif_step") if model == "LIF" else (lsnn, False)
        rest = dict.fromkeys(("v_leak", "v_reset"), torch.zeros((), dtype=torch.float64))
        p = getattr(module, f"{model}Parameters")(**tensors, **rest)
        w = weights.clone().requires_grad_()

        def forward(x, name=name, model=model, module=module, recurrent=recurrent, p=p, w=w):
            if model == "LSNN":
                state = lsnn.LSNNFeedForwardState(zeros, zeros, zeros + p.v_th)
            else:
                state = lif.LIFState(zeros, zeros, zeros) if recurrent else lif.LIFFeedForwardState(zeros, zeros)
            spikes = []
            for current in x:
                more = (identity, w) if recurrent else ()
                fired, state = getattr(module, name)(current, state, *more, p=p)
                spikes.append(fired)
            return torch.stack(spikes)

        yield torch_case("neuron", name, arguments, forward, {"weights": w} if recurrent else {})


def surrogates() -> Iterator[Case]:
    from norse.torch.functional.threshold import threshold

    for name, alpha in SURROGATES:
        yield torch_surrogate(name, {"alpha": alpha}, lambda x, name=name, alpha=alpha: threshold(x, name, alpha))
