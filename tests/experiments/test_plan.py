"""From `--sweep` to networks, programs and shares."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import digits
from jaxsnn.lab.config import Config, fields_with
from jaxsnn.lab.sweep import plan


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("leak=0.9,0.99", (0.9, 0.99)),
        ("lr=log:1e-3:1e-1:3", (0.001, 0.01, 0.1)),
        ("lr=lin:0.1:0.3:3", (0.1, 0.2, 0.3)),
        ("time_steps=lin:4:16:4", (4, 8, 12, 16)),
        ("time_steps=log:4:32:4", (4, 8, 16, 32)),
        ("slope=1,2.5", (1.0, 2.5)),
        ("gradient=spikebp,bptt", ("spikebp", "bptt")),
        ("flip=true,False", (True, False)),
    ],
)
def test_values(text, values):
    axis = plan.parse(text)
    assert axis == plan.Axis(text.split("=")[0], values)
    assert [type(value) for value in axis.values] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr", "--sweep takes field=values.*got 'lr'"),
        ("=1", "--sweep takes field=values"),
        ("lr=", "--sweep takes field=values"),
        ("rate=1", "there is no field 'rate'; known are"),
        ("lr=log:1:2", "log takes first:last:number, e.g. log:0.001"),
        ("lr=log:0:1:3", "log needs ends above 0; use lin:0:1:3"),
        ("lr=lin:0:1:1", "number of values from 2 to 100,000"),
        ("lr=lin:0:1:1000000000", "number of values from 2 to 100,000"),
        ("lr=lin:0:inf:2", "two finite ends"),
        ("model=lin:0:1:3", "for a field that is a number"),
        ("time_steps=lin:1:2:3", "the values would not all be whole: 1, 1.5, 2"),
        ("time_steps=4.5", "'4.5' is not a value for this field, which takes whole numbers"),
        ("lr=1,,2", "'' is not a value for this field, which takes finite numbers"),
        ("lr=nan", "'nan' is not a value"),
        ("flip=yes", "takes true or false"),
        ("lr=0.1,0.10", "a value comes twice"),
        ("seed=1,2", "seed cannot be swept: .*give --seeds=5, and --seed"),
        ("data_dir=a,b", "data_dir cannot be swept: it says where files are"),
        ("resume=true", "resume cannot be swept: it changes what is shown or kept"),
        ("data_parallel=1,2", "are divided among --data_parallel devices"),
        ("leaks=conv1:0.5", "leaks cannot be swept: its values are lists"),
    ],
)
def test_bad_texts(text, message):
    with pytest.raises(ValueError, match=message):
        plan.parse(text)


def grid(*texts, **changes):
    return plan.members(digits.digits().replace(**changes), [plan.parse(text) for text in texts])


@pytest.mark.parametrize(
    ("texts", "changes", "message"),
    [
        (["lr=0.1,0.2", "lr=0.3"], {}, "names lr more than once"),
        (["leak=0.9,1.5"], {}, r"at leak=1.5: leak must be a finite number in \(0, 1\], got 1.5"),
        (["threshold=1,0"], {}, "at threshold=0.0: threshold must be a finite number > 0, got 0.0"),
        (["lr=0.1,-0.1"], {}, "at lr=-0.1: lr must be a finite number > 0, got -0.1"),
        (["dropout=0.1,1"], {}, r"dropout must be a finite number in \[0, 1\), got 1.0"),
        (["surrogate=arctan,magic"], {"gradient": "bptt"}, "surrogate must be one of straight_through"),
        (["slope=1,2"], {}, "spikebp has no surrogate: surrogate=arctan and slope=1.0 need gradient=bptt"),
        (["slope=1,2", "gradient=bptt,spikebp"], {}, "at slope=1.0, gradient=spikebp"),
        (["lr=0.1"], {"folds": 3, "seeds": 1}, "folds=3: a sweep compares over seeds"),
        (["lr=0.1"], {"multihost": True}, "processes share a sweep by --worker"),
        (["lr=lin:0.1:1:20000", "leak=0.9,0.99"], {"seeds": 10}, "asks for 400,000 networks, the most are 100,000"),
    ],
)
def test_bad_grids(texts, changes, message):
    with pytest.raises(ValueError, match=message):
        grid(*texts, **changes)


def test_grid_and_programs():
    networks = grid("leak=0.9,0.99", "time_steps=2,4", "dropout=0,0.1,0.2", seeds=2, seed=5)
    assert len(networks) == len(set(networks)) == 24
    assert [tuple(n.values(("leak", "time_steps", "dropout", "seed")).values()) for n in networks[:3]] == [
        (0.9, 2, 0.0, 5),
        (0.9, 2, 0.0, 6),
        (0.9, 2, 0.1, 5),
    ]
    groups = plan.programs(networks)
    assert [len(group) for group in groups] == [4, 8, 4, 8]  # with and without dropout: two programs
    assert all(len({(n.network.time_steps, bool(n.network.dropout)) for n in group}) == 1 for group in groups)


@pytest.mark.parametrize("name", [*fields_with(traced="step"), *fields_with(traced="state")])
def test_what_is_said_to_share_a_program_does(name):
    loss = {"loss": "tet", "tet_lambda": 0.1, "tet_target": 0.5, "label_smoothing": 0.1}
    rates = {"rate_weight": 0.1, "rate_lower": 0.1, "rate_upper": 0.5}  # all on: zero leaves code out
    base = Config.of(gradient="bptt", slope=2.0, dropout=0.1, seed=3, **loss, **rates)
    if name == "neuron_params":
        base = base.replace(neuron="integrate_and_fire", neuron_params=("threshold:0.5",))
    other = base.replace(**{name: {"seed": 4, "neuron_params": ("threshold:0.3",)}.get(name, 0.3)})
    assert plan.program(base) == plan.program(other)


axes = st.lists(st.sampled_from(["lr", "leak", "time_steps", "gradient", "dropout"]), unique=True, max_size=3)
VALUES = {"lr": "0.1,0.2,0.3", "leak": "0.9,0.99", "time_steps": "2,3", "gradient": "spikebp,bptt", "dropout": "0,0.1"}


@settings(max_examples=40, deadline=None)
@given(axes, st.integers(1, 3), st.integers(1, 9))
def test_workers_train_every_network_exactly_once(swept, seeds, workers):
    networks = grid(*(f"{name}={VALUES[name]}" for name in swept), seeds=seeds)
    shares = [plan.share(networks, plan.parse_worker(f"{i}/{workers}")) for i in range(1, workers + 1)]
    trained = [one for share in shares for group in plan.programs(share) for one in group]
    assert len(trained) == len(networks)
    assert set(trained) == set(networks)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("text", ["3/2", "0/2", "1", "a/b", "1/0", "-1/2", "1/2/3"])
def test_bad_workers(text):
    with pytest.raises(ValueError, match=f"--worker takes i/n with i from 1 to n, e.g. --worker=3/8, got '{text}'"):
        plan.parse_worker(text)


def test_no_worker_is_all():
    assert plan.share([1, 2], plan.parse_worker("")) == [1, 2]
