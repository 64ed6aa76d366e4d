from benchmarks import events


def test_all_products_are_timed_and_agree():
    found = events.measure(40, 6, batch=3, rate=0.1, repeats=2)
    assert set(found) == {"dense", "rows", "csr"}
    assert {result["n"] for result in found.values()} == {2}
