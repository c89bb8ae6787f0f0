"""The properties of tests/test_shards.py over random bytes, for a number of seconds.

python tests/fuzz/shards.py SECONDS
"""

import os
import random
import sys
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "support")]
import test_shards  # noqa: E402

PROPERTIES = (test_shards.test_any_shard_in_any_memory, test_shards.test_any_split_of_a_run)
MOST_BYTES = 4096


def main():
    end, tried, used = time.monotonic() + float(sys.argv[1]), 0, 0
    seed = int.from_bytes(os.urandom(8), "little")
    print("seed", seed, flush=True)
    draw = random.Random(seed)
    while time.monotonic() < end:
        for one in PROPERTIES:
            tried += 1
            used += one.hypothesis.fuzz_one_input(draw.randbytes(MOST_BYTES)) is not None
    print(f"{tried} inputs, {used} of them valid")
    sys.exit(used == 0)


if __name__ == "__main__":
    main()
