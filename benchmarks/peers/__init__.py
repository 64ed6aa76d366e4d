"""Other libraries beside ours, interleaved in one run: `python -m benchmarks.peers` (see `__main__.py`)."""
