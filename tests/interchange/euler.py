"""NIR graphs stepped by forward Euler in NumPy, node by node, from the definition: no code of the package."""

import numpy as np


def _conv(x, weight, stride, padding, dilation, groups, bias):
    """`[B, C, H, W]`."""
    stride, padding, dilation = (np.broadcast_to(np.asarray(n), 2) for n in (stride, padding, dilation))
    x = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    out, channels, kh, kw = weight.shape
    rows = (x.shape[2] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    columns = (x.shape[3] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((len(x), out, rows, columns))
    per = out // groups
    for o in range(out):
        own = x[:, o // per * channels : (o // per + 1) * channels]
        for i in range(kh):
            for j in range(kw):
                part = own[:, :, i * dilation[0] :: stride[0], j * dilation[1] :: stride[1]][:, :, :rows, :columns]
                y[:, o] += np.einsum("bchw,c->bhw", part, weight[o, :, i, j])
    return y + bias.reshape(1, -1, 1, 1)


def _pool(x, window, mean):
    rows, columns = (n // k for n, k in zip(x.shape[2:], window, strict=True))
    x = x[:, :, : rows * window[0], : columns * window[1]]
    x = x.reshape(*x.shape[:2], rows, window[0], columns, window[1])
    return x.mean((3, 5)) if mean else x.sum((3, 5))


def run(graph, x, dt):
    """`x` `[T, B, ...]`, channels first; what reaches the output at every step, `[T, B, n]`."""
    kinds = {name: type(node).__name__ for name, node in graph.nodes.items()}
    sources = {name: [a for a, b in graph.edges if b == name] for name in graph.nodes}
    state, sent, outputs = {}, {}, []
    membranes = ("LIF", "IF", "LI", "I", "CubaLIF")
    for step in x:
        done = dict(sent)  # of the step before, for recurrent weights
        fresh = {name: step for name in graph.nodes if kinds[name] == "Input"}

        def value(name, step=step, done=done, fresh=fresh):
            if name in fresh:
                return fresh[name]
            node = graph.nodes[name]
            fresh[name] = None  # being computed: whoever asks gets the step before
            got = []
            for source in sources[name]:
                found = fresh.get(source, "new")
                found = value(source) if isinstance(found, str) else found
                got.append(done.get(source, 0.0) if found is None else found)
            total = sum(got)
            fresh[name] = _node(node, kinds[name], name, np.asarray(total, np.float64), state, dt)
            return fresh[name]

        for name in graph.nodes:
            if kinds[name] == "Output":
                outputs.append(value(name))
        for name in graph.nodes:
            value(name)
        sent = {name: fresh[name] for name in graph.nodes if kinds[name] in membranes}
    return np.stack(outputs)


def _node(node, kind, name, x, state, dt):
    if kind == "Output":
        return x
    if kind in ("Affine", "Linear"):
        x = np.broadcast_to(x, (1, node.weight.shape[1])) if x.ndim == 0 else x  # nothing was sent yet
        return x @ node.weight.T + (node.bias if kind == "Affine" else 0)
    if kind == "Conv2d":
        return _conv(x, node.weight, node.stride, node.padding, node.dilation, int(node.groups), node.bias)
    if kind == "Flatten":
        return x.reshape(len(x), -1)
    if kind in ("AvgPool2d", "SumPool2d"):
        window, stride = (tuple(int(n) for n in np.broadcast_to(v, 2)) for v in (node.kernel_size, node.stride))
        if window == (1, 1):
            return x[:, :, :: stride[0], :: stride[1]]
        return _pool(x, window, kind == "AvgPool2d")
    v = state.get(name, 0.0)
    if kind == "CubaLIF":
        i, v = state.get(name, (0.0, node.v_leak))
        i = i + dt / node.tau_syn * (node.w_in * x - i)
        v = v + dt / node.tau_mem * (node.v_leak - v + node.r * i)
    elif kind in ("IF", "I"):
        v = v + dt * node.r * x
    else:
        v = (node.v_leak if name not in state else v) + dt / node.tau * (
            node.v_leak - (node.v_leak if name not in state else v) + node.r * x
        )
    if kind in ("LI", "I"):
        state[name] = v
        return v
    fired = v > node.v_threshold
    v = np.where(fired, node.v_reset, v)
    state[name] = (i, v) if kind == "CubaLIF" else v
    return fired.astype(np.float64)
