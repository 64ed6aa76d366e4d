from benchmarks import streaming, workloads


def test_memory_of_the_whole_evaluation_does_not_grow_with_time():
    short, long = (streaming.compiled(workloads.NETWORKS["tiny"]._replace(steps=steps), 5) for steps in (20, 2500))
    assert long["temporary_mb"] == short["temporary_mb"] > 0
    assert long["argument_mb"] == short["argument_mb"]
    assert long["output_mb"] <= 0.1
