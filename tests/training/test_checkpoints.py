import shutil

import chex
import jax.numpy as jnp
import pytest

from jaxsnn.training import CheckpointError, Checkpoints
from tests.training import problem


@pytest.fixture
def checkpoints(tmp_path):
    with_close = Checkpoints(tmp_path / "checkpoints")
    yield with_close
    with_close.close()


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
        (checkpoints.folder / "2" / "_CHECKPOINT_METADATA").write_text("{")
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
    with pytest.raises(CheckpointError, match="no checkpoint in .* start without --resume"):
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
    reading.close()
    assert under_way.exists()
    writing = Checkpoints(checkpoints.folder)
    writing.save(3, state(3.0))
    writing.close()
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
    again.close()
