#!/usr/bin/env python3
"""What tests/vm/run promises when a VM does not boot (its other promises:
suites/selfcheck.sh): the initramfs waits (rootdelay) for a root that there is
not."""

import pathlib
import subprocess
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent


class BootTest(unittest.TestCase):
    def test_boots_that_come_to_nothing_are_said_and_bounded(self):
        with tempfile.TemporaryDirectory(prefix="pn-vm-test-") as results:
            done = subprocess.run(
                [HERE / "run", "--boot-timeout", "10", "--append",
                 "root=LABEL=no-such-root rootdelay=3600", "--results", results,
                 "--", "true"], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                timeout=1800, check=False)
            self.assertEqual(125, done.returncode, done.stdout)
            self.assertIn("boot 3 of at most 3 came to nothing", done.stdout)
            self.assertNotIn("boot 4", done.stdout)
            self.assertIn("no VM could be booted", done.stdout)
            logs = {path.name for path in pathlib.Path(results).iterdir()}
            self.assertLessEqual({"boot1_console.log", "boot2_cpus.log",
                                  "console.log", "cpus.log"}, logs)
            # Of each CPU, in QEMU's words.
            cpus = (pathlib.Path(results) / "cpus.log").read_text()
            self.assertIn("CPU#3", cpus)
            self.assertRegex(cpus, "[ER]IP=")


if __name__ == "__main__":
    unittest.main()
