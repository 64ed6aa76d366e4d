"""Workers whose library is missing; what they measure needs `make peers`."""

from pathlib import Path

import pytest

from benchmarks import common, compare, train_step
from benchmarks.peers import __main__ as peers
from benchmarks.workers import Subject, Worker, interleave

OPTIONS = {"malloc": "default", "threads": 1, "timeout": 60.0}


def test_a_failed_library_is_reported_with_its_errors():
    said: list[str] = []
    found = interleave([Subject("no_such_library", {})], "tiny", 1, say=said.append, **OPTIONS)
    failed = found["no_such_library"]
    assert failed.times == []
    assert "no_such_library ended with code 1" in failed.failure
    assert "ModuleNotFoundError" in failed.failure
    assert "Traceback" in said[0]


def test_slow_libraries_are_grouped_apart():
    ours = [Subject("ours", {"time_chunk": chunk}) for chunk in (0, 5)]
    others = [Subject(name, {}, slow=name == "c") for name in "abcd"]
    names = [[subject.library for subject in group] for group in compare.groups(ours, others, resident=4)]
    assert names == [["a", "b"], ["d"], ["c"]]
    assert compare.groups(ours, [], resident=4) == [[]]


def test_libraries_are_named_with_options(tmp_path):
    python = tmp_path / "python"
    python.touch()
    found = compare.subjects("norse:compiled=true,spikingjelly:implementation=triton", str(python))
    assert [subject.options for subject in found] == [{"compiled": True}, {"implementation": "triton"}]
    assert found[0].name == "norse compiled=True"
    with pytest.raises(SystemExit, match="make peers"):
        compare.subjects("norse", str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("names", "options"),
    [
        ("chunk5-bits", {"rule": "arctan-bits", "time_chunk": 5}),
        ("chunk0-bf16", {"rule": "arctan", "time_chunk": 0, "dtype": "bfloat16"}),
        ("chunk0-repeated", {"rule": "arctan", "time_chunk": 0, "once": False}),
        ("chunk0-micro16", {"rule": "arctan", "time_chunk": 0, "micro_batch": 16}),
    ],
)
def test_our_configurations_are_rules_and_options_of_our_worker(names, options):
    (found,) = peers.ours(names, "arctan")
    assert found.options == options
    assert found.options["rule"] in train_step.RULES


@pytest.mark.parametrize("names", ["chunk", "chunk0-fast", "chunk0,", "chunk0-micro", "chunk0-micro-8"])
def test_unknown_configurations_are_refused(names):
    with pytest.raises(SystemExit, match="--ours takes chunk<steps>"):
        peers.ours(names, "arctan")


@pytest.mark.slow
@pytest.mark.parametrize("workload", ["tiny-W4", "tiny-W5"])
def test_the_libraries_start_from_the_same_loss(workload):
    """Needs `make peers`; norms of each step by itself in the one pair, readouts that leak first in the other."""
    python = str(common.PEERS)
    if not Path(python).exists():
        pytest.skip("no .venv-peers")
    same = {"tiny-W4": ("norse", "snntorch"), "tiny-W5": ("norse", "spikingjelly")}[workload]
    losses = []
    for name in same:
        worker = Worker(Subject(name, {}, python), workload, **OPTIONS)
        losses.append(worker.ask("step")["loss"])
        worker.close()
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
