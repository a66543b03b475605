#!/usr/bin/env python3
"""Checks the Spin model of the slot protocol, and that it catches mutants.

Needs spin and gcc. Says what it explored; exit status 1 if the model does not
hold, or if a mutant does.
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import time

MODEL = pathlib.Path(__file__).with_name("slots.pml")

# With kills, processes may wait for ever (pan -E), and their steps depend on
# one word, which the partial order reduction does not know (NOREDUCE).
SETTINGS = {
    "map": ["-DMAP=1", "-DCALLS=3", "-DCALLS2=3"],
    "moves": ["-DCALLS=7", "-DCALLS2=1"],
    "kill": ["-DKILLS=1"],
    "sweep, kill": ["-DKILLS=1", "-DSWEEP=1", "-DALONE=1"],
    "sweep, map": ["-DSWEEP=1", "-DMAP=1"],
    "sweep, map, late": ["-DSWEEP=1", "-DMAP=1", "-DLATE=1", "-DALONE=1"],
    "sweep, lease": ["-DSWEEP=1", "-DLEASE=1"],
}

# The setting that must catch it.
MUTANTS = {
    1: ("a claim without compare-and-swap", "map"),
    2: ("the ledger raised after the claim", "kill"),
    3: ("the ledger lowered before the release", "kill"),
    4: ("Find reads the ledger once", "map"),
    5: ("no second look at the slot when its bit is set", "sweep, map, late"),
    6: ("a release leaves the summary as it is", "map"),
    7: ("no second look at the word when its summary bit is set", "map"),
    8: ("a release without compare-and-swap", "sweep, lease"),
    9: ("one look at the slots before a claim is refused", "moves"),
    10: ("the second look compares no generations", "moves"),
    11: ("a refused claim stays counted", "sweep, map"),
    12: ("a claim keeps the generation", "moves"),
}


def explore(switches, scratch):
    """Builds the verifier and runs it: (problem or "", states)."""
    kills = any(word.startswith("-DKILLS") for word in switches)
    flags = ["-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=3000"]
    if kills:
        flags.append("-DNOREDUCE")
    for command in (["spin", "-a", *switches, str(MODEL)],
                    ["gcc", "-O2", "-w", *flags, "-o", "pan", "pan.c"]):
        done = subprocess.run(command, cwd=scratch, text=True, check=False,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise SystemExit(f"{command[0]}: {done.stdout}")
    done = subprocess.run(
        ["./pan", "-m200000", "-w24", *(["-E"] if kills else [])],
        cwd=scratch, text=True, check=False, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    states = re.search(r"([\d.e+]+) states, stored", done.stdout)
    errors = re.search(r"errors: (\d+)", done.stdout)
    if not states or not errors or "max search depth too small" in done.stdout:
        raise SystemExit(f"pan: {done.stdout[-2000:]}")
    if "Search not completed" in done.stdout and errors[1] == "0":
        raise SystemExit("pan: the search was not completed")
    if errors[1] == "0":
        return "", int(float(states[1]))
    problem = re.search(r"pan:\d+: (.*)", done.stdout)
    return problem[1], int(float(states[1]))


def main():
    failed = passed = 0
    with tempfile.TemporaryDirectory(prefix="pn-model-") as scratch:
        for name, switches in SETTINGS.items():
            began = time.monotonic()
            problem, states = explore(switches, scratch)
            print(f"{name}: {problem or 'holds'} ({states} states, "
                  f"{time.monotonic() - began:.1f} s)", flush=True)
            passed += not problem
            failed += bool(problem)
        for number, (what, name) in MUTANTS.items():
            problem, states = explore(
                [*SETTINGS[name], f"-DMUTANT={number}"], scratch)
            print(f"mutant {number}, {what}: "
                  f"{'caught' if problem else 'NOT CAUGHT'} by {name} "
                  f"({states} states)", flush=True)
            passed += bool(problem)
            failed += not problem
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
