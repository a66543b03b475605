#!/usr/bin/env python3
"""What a run of critest came to, from ginkgo's JSON report.

  critest_report.py REPORT [--left-out REGEX] [--focus] [--slowest N]
                           [--benchmarks]

Prints every spec that failed or was skipped and why, the slowest ones, and

  specs: N passed, N failed, N skipped

as the last line. Benchmarks, which critest runs apart, count only with
--benchmarks, and then nothing else. A spec that -ginkgo.skip left out has no reason of its own:
it counts as left out if its name matches REGEX, as failed if not, so that no
spec can vanish; with --focus such specs are nobody's business. More than one
attempt at a spec counts as a failure. The exit code is 0 if nothing failed.
"""

import argparse
import json
import re
import sys


def specs_of(report):
    for suite in report:
        for spec in suite["SpecReports"] or []:
            if spec["LeafNodeType"] != "It":
                # The suite's own nodes count when they fail.
                if spec["State"] not in ("passed", "skipped"):
                    yield spec["LeafNodeType"], spec
                continue
            yield " ".join([*(spec["ContainerHierarchyTexts"] or []),
                            spec["LeafNodeText"]]), spec


def judge(name, spec, options):
    """(verdict, reason)"""
    message = (spec.get("Failure") or {}).get("Message", "")
    if spec["State"] == "passed":
        if spec["NumAttempts"] > 1:
            return "failed", f"passed at attempt {spec['NumAttempts']} only"
        return "passed", ""
    if spec["State"] == "skipped":
        if message:
            return "skipped", message
        if options.left_out and re.search(options.left_out, name):
            return "left out", ""
        return (None, "") if options.focus else ("failed", "it was not run")
    return "failed", f"{spec['State']}: {message}"


def main(argv):
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report")
    parser.add_argument("--left-out", default="")
    parser.add_argument("--focus", action="store_true")
    parser.add_argument("--benchmarks", action="store_true")
    parser.add_argument("--slowest", type=int, default=0)
    options = parser.parse_args(argv)
    with open(options.report, encoding="utf-8") as file:
        report = json.load(file)
    counts = {"passed": 0, "failed": 0, "skipped": 0, "left out": 0}
    ran = []
    for name, spec in specs_of(report):
        if ("benchmark" in name) != options.benchmarks:
            continue
        verdict, reason = judge(name, spec, options)
        if verdict is None:
            continue
        counts[verdict] += 1
        if verdict == "left out" and options.focus:
            continue
        if verdict in ("passed", "failed"):
            ran.append((spec["RunTime"] / 1e9, name))
        if verdict != "passed":
            print(f"{verdict}: {name}" + (f"\n    {reason}" if reason else ""))
    for seconds, name in sorted(ran, reverse=True)[:options.slowest]:
        print(f"{seconds:7.1f} s  {name}")
    if not ran:
        print("failed: no spec was run")
        counts["failed"] += 1
    print(f"specs: {counts['passed']} passed, {counts['failed']} failed, "
          f"{counts['skipped']} skipped, {counts['left out']} left out; "
          f"{sum(seconds for seconds, _ in ran):.0f} s")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
