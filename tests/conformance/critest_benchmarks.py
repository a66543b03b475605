#!/usr/bin/env python3
"""A table of what critest -benchmark measured: critest_benchmarks.py DIR.

Each file is one benchmark: operationsNames, and for each data point the
durations of these operations in nanoseconds.
"""

import json
import pathlib
import sys


def quantile(values, part):
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def main(argv):
    files = sorted(pathlib.Path(argv[0]).glob("*.json"))
    for path in files:
        data = json.loads(path.read_text())
        points = data["datapoints"]
        print(f"{path.stem}: {len(points)} times, "
              f"{data['numParallel']} at a time (ms)")
        for index, name in enumerate(data["operationsNames"]):
            took = [point["operationsDurationsNs"][index] / 1e6
                    for point in points]
            print(f"  {name:16} median {quantile(took, .5):8.2f}   "
                  f"p90 {quantile(took, .9):8.2f}   max {max(took):8.2f}")
    return 0 if files else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
