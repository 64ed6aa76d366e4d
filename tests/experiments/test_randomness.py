"""A whole run under a spy that notes every key from which numbers are drawn: no two draws share one."""

from collections import Counter, defaultdict

import jax
import numpy as np
import pytest

from experiments import digits
from jaxsnn import training
from jaxsnn.lab import build, run
from jaxsnn.layers import synapses

SAMPLERS = ("bernoulli", "bits", "categorical", "choice", "normal", "permutation", "randint", "truncated_normal")
SAMPLERS += ("uniform",)
EPOCHS, STEPS, BATCH, T, EVALUATED, DROPPED = 2, 3, 4, 3, 8, 3
CONFIG = {
    "seeds": 1,
    "epochs": EPOCHS,
    "batch_size": BATCH,
    "limit": STEPS * BATCH,
    "validation": EVALUATED,
    "limit_test": EVALUATED,
    "evaluation_batch": EVALUATED // 2,
    "time_steps": T,
    "dropout": 0.5,
    "shift": 1,
    "flip": True,
    "width": 0.1,
    "progress": False,
    "activity": False,
    "figures": False,
}


class Spy:
    """Keys by the part of the run in which they are drawn from, and by sampler (or by whom they are handed to)."""

    def __init__(self, patch):
        self.now, self.keys, self._patch = "before", defaultdict(list), patch
        for name in SAMPLERS:
            self._watch(jax.random, name)
        self._watch(jax.random, "fold_in")

    def note(self, name, key):
        def keep(data):
            self.keys[self.now, name] += [bytes(row) for row in np.asarray(data).reshape(-1, 2)]

        jax.debug.callback(keep, jax.random.key_data(key))

    def enter(self, now):
        jax.effects_barrier()
        self.now = now

    def _watch(self, module, name):
        function = getattr(module, name)

        def watched(key, *args, **options):
            self.note(name, key)
            return function(key, *args, **options)

        self._patch.setattr(module, name, watched)

    def watch_made(self, module, maker, name, place):
        """The functions that `maker` makes."""
        make = getattr(module, maker)

        def watched(*how, **options):
            function = make(*how, **options)

            def noted(*args, **options):
                self.note(name, args[place])
                return function(*args, **options)

            return noted

        self._patch.setattr(module, maker, watched)


@pytest.fixture(scope="module")
def spy(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, jax.numpy_dtype_promotion("standard"):
        normal = jax.random.normal  # its compiled form may have been traced before there was a spy

        def draw(key, deviation, shape, dtype):
            return normal(key, shape, dtype) * deviation

        patch.setattr(synapses, "_normal", lambda: draw)
        spy, make = Spy(patch), training.make_evaluate
        spy.watch_made(synapses, "_normal", "weights", 0)
        spy.watch_made(build, "make_prepare", "to input", 0)
        spy.watch_made(training, "backpropagation", "to dropout", 4)
        calls = []

        def make_evaluate(*how, **options):
            evaluate = make(*how, **options)

            def marked(*args):
                number = len(calls)
                calls.append(number)
                spy.enter(("set", number % 2, "epoch", number // 2))
                result = evaluate(*args)
                spy.enter(("training", number // 2 + number % 2))
                return result

            return marked

        patch.setattr(training, "make_evaluate", make_evaluate)
        folder = tmp_path_factory.mktemp("spied") / "run"
        config = digits.digits().replace(**CONFIG, run_dir=str(folder))
        run.run(config, "digits")
        jax.effects_barrier()
        return spy


def test_everything_random_is_drawn_by_sample(spy):
    """So many draws, and so many keys: nothing is drawn once for a batch, or once for all steps."""
    of_epoch = {  # per sample
        "permutation": 1,
        "to input": STEPS * BATCH,
        "to dropout": STEPS * BATCH,
        "randint": STEPS * BATCH,
        "bernoulli": STEPS * BATCH * (1 + DROPPED),
        "uniform": STEPS * BATCH * T,
    }
    of_set = {"to input": EVALUATED, "uniform": EVALUATED * T}
    counts = Counter({place: len(keys) for place, keys in spy.keys.items()})
    for epoch in range(EPOCHS):
        for number in (0, 1):
            for name, count in of_set.items():
                assert counts.pop((("set", number, "epoch", epoch), name)) == count
    begun = [sum(n for (now, name), n in counts.items() if name == sampler) for sampler in of_epoch]
    assert begun == [EPOCHS * count for count in of_epoch.values()]


def test_no_key_is_used_twice(spy):
    """Over steps, samples, purposes, epochs and sets; but for a set that is evaluated again, and the same weights."""
    again = {place: keys for place, keys in spy.keys.items() if place[0][::2] == ("set", "epoch") and place[0][3]}
    for (now, name), keys in again.items():
        assert sorted(keys) == sorted(spy.keys[("set", now[1], "epoch", 0), name])
    weights = {key for (_, name), keys in spy.keys.items() if name == "weights" for key in keys}
    assert len(weights) == 4  # layers; the network is built more than once
    drawn = {place: keys for place, keys in spy.keys.items() if place[1] not in ("weights", "fold_in")}
    once = [key for place, keys in drawn.items() if place not in again for key in keys]
    assert Counter([*weights, *once]).most_common(1)[0][1] == 1
    sampled = {key for (_, name), keys in drawn.items() if name in SAMPLERS for key in keys}
    assert not sampled & {key for (_, name), keys in spy.keys.items() if name == "fold_in" for key in keys}
