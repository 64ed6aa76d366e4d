import json

import pytest

from jaxsnn import files
from jaxsnn.training import MetricsFile


def row(step, kind="train"):
    return {"kind": kind, "step": step, "epoch": 1, "loss": 0.1 * step, "accuracy": 0.5, "seconds": 0.0}


def written(path, steps=5):
    metrics = MetricsFile(path)
    for step in range(steps):
        metrics.write(row(step))
    return metrics


def test_rows_survive_a_cut_last_line_and_rewind(tmp_path):
    metrics = written(tmp_path / "metrics.jsonl")
    whole = metrics.path.read_bytes()
    for cut in range(1, len(json.dumps(row(4))) + 1):  # at every byte of the last line
        metrics.path.write_bytes(whole[:-cut])
        assert [one["step"] for one in metrics.read()] == [0, 1, 2, 3]
    metrics.write(row(4))  # in the place of what was cut
    assert metrics.path.read_bytes() == whole
    metrics.rewind(2)
    assert [one["step"] for one in metrics.read()] == [0, 1, 2]
    metrics.write(row(3))
    assert len(metrics.path.read_text(encoding="utf-8").splitlines()) == 4


def test_missing_file_is_empty(tmp_path):
    assert MetricsFile(tmp_path / "none.jsonl").read() == []


def test_of_several_processes_one_writes(tmp_path):
    path = tmp_path / "metrics.jsonl"
    first, second = MetricsFile(path), MetricsFile(path, writes=False)
    first.write(row(1))
    second.write(row(1))
    second.rewind(-1)
    assert second.read() == first.read() == [row(1)]


NO_ROWS = [
    *(b"\xff\xfe", b"", b"{", b"[" * 100_000, b"NaN", b"null", b"3", b'"kind"', b"[]", b"{}", b'{"kind": "train"}'),
    *(b'{"step": 1}', b'{"kind": "train", "step": 1}', b'{"kind": "start", "step": "1"}', b'{"kind": 1, "step": 1}'),
    json.dumps(row(1) | {"step": None}).encode(),
    json.dumps({("epocj" if key == "epoch" else key): value for key, value in row(1).items()}).encode(),
]


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_damaged_line_is_named_and_nothing_is_overwritten(tmp_path, number):
    """What is no row is an error wherever it stands, also as the last line, if it is whole."""
    metrics = written(tmp_path / "metrics.jsonl")
    lines = metrics.path.read_bytes().splitlines(keepends=True)
    for bad in NO_ROWS:
        damaged = b"".join((*lines[: number - 1], bad + b"\n", *lines[number:]))
        metrics.path.write_bytes(damaged)
        for use in (metrics.read, lambda: metrics.rewind(2), lambda: metrics.rewind(-1)):
            with pytest.raises(ValueError, match=rf"line {number} of .*metrics\.jsonl is damaged .* nothing was"):
                use()
        assert metrics.path.read_bytes() == damaged


def test_a_full_disk_leaves_no_half_row(tmp_path, monkeypatch):
    """A row of which a part was written is taken back, so that the next one does not stand behind it."""
    metrics = written(tmp_path / "metrics.jsonl")
    whole, size = metrics.path.read_bytes(), len(metrics.path.read_bytes()) + 20

    class Full:
        def __init__(self, file):
            self._file = file

        def __getattr__(self, name):
            return getattr(self._file, name)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self._file.close()

        def write(self, data):
            if (left := size - self._file.tell()) <= 0:
                raise OSError(28, "No space left on device")
            return self._file.write(data[:left])

    original = type(metrics.path).open
    with monkeypatch.context() as patch:
        patch.setattr(type(metrics.path), "open", lambda *args, **options: Full(original(*args, **options)))
        with pytest.raises(OSError, match="No space left"):
            metrics.write(row(5))
    assert metrics.path.read_bytes() == whole


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    """An error leaves the earlier file; also with the longest name; half a surrogate pair is written somehow."""
    path = tmp_path / ("n" * 251 + ".txt")
    files.write_whole(path, "before \ud800 é")
    assert path.read_text(encoding="utf-8") == "before \\ud800 é"
    for broken in (lambda stream: stream.write(b"half") and 1 / 0, lambda stream: stream.write("text")):
        with pytest.raises((ZeroDivisionError, TypeError)):
            files.write_whole(path, broken)
    assert path.read_text(encoding="utf-8").startswith("before")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["gs://bucket/run", "s3://b", "gs:/bucket/run", "hdfs://host:1/x", "file:///tmp/x"])
def test_remote_addresses_are_refused(text):
    with pytest.raises(ValueError, match="is a remote address, and folders must be on a disk of this machine"):
        files.local(text)


@pytest.mark.parametrize("text", ["runs/x", "/a:b/c", "C:/runs", "lr=[0.1]", "a:b", "-x", "~", ""])
def test_ordinary_paths_are_not(text):
    files.local(text)
