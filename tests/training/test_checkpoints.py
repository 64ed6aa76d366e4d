import json
import shutil
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from orbax.checkpoint import v1 as orbax

from jaxsnn.training import CheckpointError, Checkpoints, arrays
from jaxsnn.training import checkpoints as module
from tests.training import problem


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints")


def state(value=0.0):
    first, _ = problem.start()
    return first._replace(params={"w": jnp.full((300, 30), value) + jnp.arange(30.0)[None]})


def files(checkpoints, step):
    return sorted(
        (p for p in (checkpoints.folder / str(step)).rglob("*") if p.is_file()), key=lambda p: p.stat().st_size
    )


def test_round_trip(checkpoints):
    checkpoints.save(3, state(7.0))
    chex.assert_trees_all_equal(checkpoints.load(state()), state(7.0))


def test_keeps_last_and_best_and_nothing_else(checkpoints):
    for step, accuracy in ((1, 0.5), (2, 0.9), (3, 0.7), (4, 0.9), (5, 0.6)):
        checkpoints.save(step, state(step), {"validation_accuracy": accuracy})
    assert checkpoints.steps() == [4, 5]
    checkpoints.save(6, state(6))  # within an epoch: no score
    assert checkpoints.steps() == [4, 6]
    chex.assert_trees_all_equal(checkpoints.load(state(), 4), state(4.0))


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete", "metadata"])
def test_damage_is_noticed(checkpoints, damage):
    checkpoints.save(1, state(1.0), {"validation_accuracy": 1.0})
    checkpoints.save(2, state(2.0), {"validation_accuracy": 0.5})
    largest = files(checkpoints, 2)[-1]
    whole = largest.read_bytes()
    if damage == "truncate":
        largest.write_bytes(whole[: len(whole) // 2])
    elif damage == "flip":
        largest.write_bytes(
            whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1 :]
        )
    elif damage == "delete":
        largest.unlink()
    else:
        (checkpoints.folder / "2" / "_CHECKPOINT_METADATA").write_text("{", encoding="utf-8")
    message = r"checkpoints/2 is damaged .* Move it away and resume: the checkpoint of step 1 is still there"
    with pytest.raises(CheckpointError, match=message):
        checkpoints.load(state())
    chex.assert_trees_all_equal(checkpoints.load(state(), 1), state(1.0))


def test_another_architecture_is_named(checkpoints):
    checkpoints.save(1, state())
    other = state()._replace(params={"w": jnp.zeros((5, 30)), "extra": jnp.zeros(2)})
    message = (
        r"another architecture(?s:.*)params.extra: checkpoint has none, this run float32\[2\](?s:.*)float32\[300, 30\]"
    )
    with pytest.raises(CheckpointError, match=message):
        checkpoints.load(other)


def test_nothing_there(checkpoints):
    with pytest.raises(CheckpointError, match="no checkpoint in .*: nothing was saved there yet"):
        checkpoints.load(state())
    checkpoints.save(1, state())
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 9 in .*: there are \[1\]"):
        checkpoints.load(state(), 9)


def test_reading_leaves_the_folder_as_it_is(checkpoints, tmp_path):
    """A run may be writing there: its checkpoint under way stays, and no folder is made where there is none."""
    checkpoints.save(1, state(1.0))
    under_way = shutil.copytree(checkpoints.folder / "1", checkpoints.folder / "2.orbax-checkpoint-tmp")
    reading = Checkpoints(checkpoints.folder, reading=True)
    chex.assert_trees_all_equal(reading.load(state()), state(1.0))
    assert under_way.exists()
    writing = Checkpoints(checkpoints.folder)
    writing.save(3, state(3.0))
    assert not under_way.exists()  # what the next run that writes there does
    with pytest.raises(CheckpointError, match="no checkpoint in .*: there is no such folder"):
        Checkpoints(tmp_path / "nowhere", reading=True)
    assert not (tmp_path / "nowhere").exists()


def test_half_written_checkpoint_is_not_one(checkpoints):
    """What a kill leaves behind while orbax writes: a folder under a temporary name."""
    checkpoints.save(1, state(1.0))
    (checkpoints.folder / "2.orbax-checkpoint-tmp").mkdir()
    again = Checkpoints(checkpoints.folder)
    assert again.steps() == [1]


FOLDERS = [
    "lr=[0.1]/[/a]b[/[!x]/checkpoints",
    "*/a?b/{x}/{a,b}/!(x)/a;b&c|d/<>",
    "-x/a b /'/\"/%s%d/%2F/$HOME/~/#1/.hidden/a:b/tab\tnewline\n",
    "ü 雪 🎲/é e\u0301/" + "n" * 250,
]


@pytest.mark.parametrize("name", FOLDERS, ids=range(len(FOLDERS)))
def test_folders_of_any_name(tmp_path, name):
    """Of the folder itself and of those above it: what is saved is found again, by another process too."""
    checkpoints = Checkpoints(tmp_path / name)
    for step in (1, 2):
        checkpoints.save(step, state(step), {"validation_accuracy": 1 / step})
    again = Checkpoints(tmp_path / name, reading=True)
    assert checkpoints.steps() == again.steps() == [1, 2]
    chex.assert_trees_all_equal(again.load(state()), state(2))


@pytest.mark.parametrize("name", ["**", "a**b/c", "\\", "gs://bucket/run", "b\udcff"])
def test_folders_that_cannot_hold_checkpoints_are_refused(tmp_path, name, monkeypatch):
    """And so is everything below them."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="choose a folder of another name|remote address"):
        Checkpoints(Path(name))
    assert list(tmp_path.iterdir()) == []


def test_any_metrics_that_cannot_be_read_count_as_none(checkpoints):
    """In the file of its own that they once had, or beside the arrays: nothing is removed for them, nothing fails."""
    for number, content in enumerate((b"", b"[]", b"\xff", b'{"validation_accuracy": "x"}', None), 1):
        first = 10 * number
        checkpoints.save(first, state(first), {"validation_accuracy": 2.0 + number})
        metadata = checkpoints.folder / str(first) / "_CHECKPOINT_METADATA"
        facts = json.loads(metadata.read_text(encoding="utf-8"))
        del facts["custom_metadata"]["metrics"]  # as earlier versions wrote it
        metadata.write_text(json.dumps(facts), encoding="utf-8")
        (metadata.parent / "metrics").mkdir()
        if content is not None:
            (metadata.parent / "metrics" / "metrics").write_bytes(content)
        with pytest.warns(RuntimeWarning, match=rf"metrics of checkpoint .*/{first} cannot be read .* it is kept"):
            checkpoints.save(first + 1, state(), {"validation_accuracy": 0.5})
        with pytest.warns(RuntimeWarning, match="cannot be read"):
            checkpoints.save(first + 2, state(), {"validation_accuracy": 0.4})
        assert checkpoints.steps()[-3:] == [first, first + 1, first + 2]
        chex.assert_trees_all_equal(checkpoints.load(state(), first), state(first))
        shutil.rmtree(checkpoints.folder)
        checkpoints.folder.mkdir()


def test_earlier_checkpoints_are_read(checkpoints):
    """As the version before wrote them: in another format, with metrics in a file of their own."""
    keep = orbax.training.preservation_policies
    manager = orbax.training.Checkpointer(checkpoints.folder, preservation_policy=keep.PreserveAll())
    for step, accuracy in ((1, 0.5), (2, 0.9), (3, 0.7)):
        flat = {name: np.asarray(x) for name, x in module._flatten(state(step)).items()}
        facts = {"arrays": module._describe(flat), "checksum": module._checksum(flat)}
        manager.save(step, flat, metrics={"validation_accuracy": accuracy}, custom_metadata=facts)
    manager.close()
    assert checkpoints.steps() == [1, 2, 3]
    chex.assert_trees_all_equal(checkpoints.load(state(), 2), state(2))
    checkpoints.save(4, state(4), {"validation_accuracy": 0.8})
    assert checkpoints.steps() == [2, 4]


def test_half_removed_checkpoints_are_none(checkpoints, tmp_path, monkeypatch):
    """Cut short at every file, as earlier versions removed them; this one gives it another name first."""
    checkpoints.save(1, state(1.0), {"validation_accuracy": 0.5})
    checkpoints.save(2, state(2.0), {"validation_accuracy": 0.4})
    needed = [
        "_CHECKPOINT_METADATA",
        "state/_METADATA",
        *(
            str(p.relative_to(checkpoints.folder / "1"))
            for p in (checkpoints.folder / "1" / "state").glob("*/zarr.json")
        ),
    ]
    for name in needed:
        (checkpoints.folder / "1" / name).rename(tmp_path / "away")
        assert checkpoints.steps() == [2]
        with pytest.raises(CheckpointError, match="checkpoints/1 is damaged"):
            checkpoints.load(state(), 1)
        (tmp_path / "away").rename(checkpoints.folder / "1" / name)
    assert checkpoints.steps() == [1, 2]
    monkeypatch.setattr(module.shutil, "rmtree", lambda *args, **options: None)  # killed there
    checkpoints.save(3, state(3.0), {"validation_accuracy": 0.9})
    assert checkpoints.steps() == [3]
    monkeypatch.undo()
    Checkpoints(checkpoints.folder)
    assert [path.name for path in checkpoints.folder.iterdir()] == ["3"]


def test_what_cannot_be_written_is_the_systems_error(checkpoints, monkeypatch, capfd):
    """Also where orbax tells it in its own words, from a thread, after pages of traceback."""
    checkpoints.save(1, state(1.0))

    def full(*args, **options):
        raise ValueError("RESOURCE_EXHAUSTED: Error writing local file \"x\": failed [os_error_code='28']\nmore")

    monkeypatch.setattr(arrays.orbax, "save", full)
    with pytest.raises(OSError, match=r"28\] No space left on device: no checkpoint of step 2 in .*/checkpoints$"):
        checkpoints.save(2, state(2.0))
    assert checkpoints.steps() == [1]
    monkeypatch.undo()
    checkpoints.save(2, state(2.0))
    assert checkpoints.steps() == [2]
    assert capfd.readouterr() == ("", "")


def test_what_is_loaded_is_where_the_template_is(checkpoints):
    """As a fresh state is: arrays bound to no device stay so, or the program of the step would be compiled anew."""
    device = jax.devices()[-1]
    free, bound = state(1.0), jax.device_put(state(1.0), device)
    checkpoints.save(1, free)
    for template in (free, bound):
        for like, x in zip(jax.tree.leaves(template), jax.tree.leaves(checkpoints.load(template)), strict=True):
            assert (like.committed, like.sharding, like.aval) == (x.committed, x.sharding, x.aval)
