"""How fast is one LIF layer by itself, without synapses? (forward, and backward to the input currents)

    python -m benchmarks.neuron --workload=W3                       # T = 100, 2^20 neurons; needs `make peers` once
    python -m benchmarks.neuron --workload=W3-T16 --libraries=''    # N = 64 x 65,536 neurons; ours only

Ours under the paper's rule (`jaxsnn.spikebp.lif`) and with a surrogate gradient (`neurons.lif`), each compiled; beside
them, interleaved as in `benchmarks.peers`, the paper's rule written by hand for PyTorch, and other libraries' layers.
Prints the median and spread in milliseconds, ratios and process peaks; appends to
benchmarks/results/<device>/neuron.jsonl. Currents of W3 are 400 MB, and a process takes 2 to 6 GB.
"""

import sys

from benchmarks import compare, workloads
from benchmarks.workers import Subject

LIBRARIES = "hand_written,hand_written:block=262144,spikingjelly"


def main() -> None:
    """Measures, prints, and appends to the results."""
    parser = compare.parser(__doc__, workloads.NEURONS)
    parser.add_argument("--rules", default="spikebp,arctan", help="our gradients, rule[:dtype=bfloat16]")
    parser.add_argument("--libraries", default=LIBRARIES, help="name[:option=value]")
    flags = parser.parse_args()
    ours = [
        Subject("ours", {"rule": one.library, **one.options}) for one in compare.subjects(flags.rules, sys.executable)
    ]
    compare.run("neuron", ours, compare.subjects(flags.libraries, flags.python), flags)


if __name__ == "__main__":
    main()
