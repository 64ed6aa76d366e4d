"""Workers whose library is missing; what they measure needs `make peers`."""

import pytest

from benchmarks import compare
from benchmarks.workers import Subject, interleave

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
