"""The inner half of tests/bench/run: `SCRATCH NAME flags`."""

import argparse
import json
import os
import platform
import sys
import time

import ipam
import load
import network
import pods
import pull
from host import Host, Problem

BENCHMARKS = {"pods": pods, "pull": pull, "load": load, "ipam": ipam,
              "network": network}


def machine():
    model = "unknown CPU"
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as cpuinfo:
        for line in cpuinfo:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    memory = (os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
              / 2**30)
    return (f"{os.cpu_count()} CPUs ({model}), {memory:.0f} GiB, "
            f"Linux {platform.release()}")


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run")
    parser.add_argument("scratch", help=argparse.SUPPRESS)
    commands = parser.add_subparsers(dest="name", required=True)
    for name, module in BENCHMARKS.items():
        command = commands.add_parser(
            name, description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter)
        command.add_argument("--quick", action="store_true",
                             help="a minute or two; for a first look")
        command.add_argument("--json", metavar="FILE",
                             help="everything measured, for programs")
        module.add_arguments(command)
    return parser.parse_args()


def main():
    options = parse_arguments()
    try:
        benchmark = BENCHMARKS[options.name].main(Host(options.scratch),
                                                  options)
    except Problem as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    report = (f"{machine()}; {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}"
              f"\n\n{benchmark.report()}")
    print(report, flush=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"name": options.name, "machine": machine(),
                       **benchmark.to_json()}, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
