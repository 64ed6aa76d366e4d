from jaxsnn.training import MetricsFile


def test_rows_survive_a_cut_last_line_and_rewind(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    for step in range(5):
        metrics.write({"kind": "train", "step": step, "loss": 0.1 * step})
    with metrics.path.open("a") as file:
        file.write('{"kind": "train", "st')
    assert [row["step"] for row in metrics.read()] == [0, 1, 2, 3, 4]
    metrics.rewind(2)
    assert [row["step"] for row in metrics.read()] == [0, 1, 2]
    metrics.write({"kind": "train", "step": 3})
    assert len(metrics.path.read_text().splitlines()) == 4


def test_missing_file_is_empty(tmp_path):
    assert MetricsFile(tmp_path / "none.jsonl").read() == []


def test_of_several_processes_one_writes(tmp_path):
    path = tmp_path / "metrics.jsonl"
    first, second = MetricsFile(path), MetricsFile(path, writes=False)
    first.write({"kind": "train", "step": 1})
    second.write({"kind": "train", "step": 1})
    second.rewind(-1)
    assert second.read() == first.read() == [{"kind": "train", "step": 1}]
