import pytest

from benchmarks import common, table

EMPTY = f"# Benchmarks\n\n{table.BEGIN}\n{table.END}\n\nmore\n"


def row(**changes):
    made = {
        "benchmark": "peers",
        "workload": "W1",
        "library": "other",
        "options": {"compiled": True},
        "malloc": "tuned",
        **common.summary([3.0, 1.0, 2.0]),
        "ratios": {"spikebp time_chunk=0": 1.5},
        "date": "2026-01-02 03:04 UTC",
        "commit": "abc1234",
        "cores": 2,
        "python": "3.11.7",
        "versions": {"other": "1.0"},
    }
    return made | changes


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes rows and an empty README; returns its path, and what `table.main` needs to know."""
    monkeypatch.setattr(common, "device", lambda: "cpu-made-up")

    def write(*rows):
        common.append(rows, tmp_path / "results")
        readme = tmp_path / "README.md"
        readme.write_text(EMPTY, encoding="utf-8")
        return {"readme": readme, "results": tmp_path / "results"}

    return write


def test_the_last_row_of_each_setting_is_shown(written):
    paths = written(row(commit="old"), row(malloc="default", commit="other"), row(commit="new"))
    table.main([], **paths)
    text = paths["readme"].read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| W1")]
    assert len(lines) == 2
    assert lines[0].split(" | ")[1:] == [
        *("other", "compiled = True", "tuned", "2 (1-3, n = 3)", "1.50 (spikebp time_chunk=0)", "2026-01-02", "new |")
    ]
    assert "### peers, cpu-made-up" in text
    assert "2 cores, Python 3.11.7; other 1.0." in text
    assert text.startswith("# Benchmarks\n")
    assert text.endswith("\n\nmore\n")


def test_a_failure_is_a_row(written):
    failed = {name: value for name, value in row(failed="broke | twice\nover").items() if "ms" not in name}
    paths = written(row(), {**failed, "library": "third", "ratios": {}})
    table.main([], **paths)
    assert "broke / twice over" in paths["readme"].read_text(encoding="utf-8")


def test_check_fails_until_the_tables_are_written(written):
    paths = written(row())
    with pytest.raises(SystemExit, match="not up to date"):
        table.main(["--check"], **paths)
    assert paths["readme"].read_text(encoding="utf-8") == EMPTY
    table.main([], **paths)
    table.main(["--check"], **paths)


def test_a_readme_without_markers_is_refused():
    with pytest.raises(ValueError, match="two lines"):
        table.replaced("# Benchmarks", "")


def test_our_readme_is_up_to_date():
    table.main(["--check"])
