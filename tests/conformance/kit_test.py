#!/usr/bin/env python3
"""Tests of the registry kit: its layer rules, its bytes and its server."""

import http.client
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from kit import catalog, image, tree  # noqa: E402


def registry(*arguments):
    return subprocess.run([str(HERE / "registry"), *map(str, arguments)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)


class FlattenTest(unittest.TestCase):
    def paths(self, *layers):
        return sorted(tree.flatten(layers))

    def test_whiteout_removes_the_subtree_below(self):
        self.assertEqual(self.paths(
            [tree.directory("d"), tree.file("d/f", "x"), tree.file("k", "")],
            [tree.whiteout("d")]), ["k"])

    def test_whiteout_spares_its_own_layer_in_any_order(self):
        self.assertEqual(self.paths(
            [tree.file("f", "old")],
            [tree.file("f", "new"), tree.whiteout("f")]), ["f"])

    def test_opaque_hides_children_only(self):
        self.assertEqual(self.paths(
            [tree.directory("d"), tree.file("d/old", "")],
            [tree.directory("d"), tree.file("d/new", ""), tree.opaque("d")]),
            ["d", "d/new"])

    def test_file_over_directory_takes_the_children_away(self):
        self.assertEqual(self.paths(
            [tree.directory("d"), tree.file("d/f", "")],
            [tree.file("d", "")]), ["d"])

    def test_directory_over_directory_keeps_children_and_takes_mode(self):
        flat = tree.flatten([
            [tree.directory("d", 0o700), tree.file("d/f", "")],
            [tree.directory("d", 0o711)]])
        self.assertEqual(sorted(flat), ["d", "d/f"])
        self.assertEqual(flat["d"].mode, 0o711)

    def test_implied_parent_does_not_touch_the_one_below(self):
        flat = tree.flatten([[tree.directory("d", 0o700, uid=5)],
                             [tree.file("d/f", "")]])
        self.assertEqual((flat["d"].mode, flat["d"].uid), (0o700, 5))


class ImageTest(unittest.TestCase):
    def test_same_entries_same_digests(self):
        def make():
            return image.Image([image.Layer([tree.file("f", "x")])])
        self.assertEqual(make().manifest, make().manifest)

    def test_compression_changes_the_layer_but_not_the_image_id(self):
        entries = [tree.file("f", "x" * 1000)]
        ids = {image.digest(image.Image([image.Layer(entries, how)]).config)
               for how in ("none", "gzip", "zstd")}
        self.assertEqual(len(ids), 1)

    def test_hard_link_repeats_the_attributes_of_its_target(self):
        data = tree.tar([tree.file("a", "x", 0o4755, uid=3),
                         tree.hard_link("b", "a")])
        with tempfile.TemporaryFile() as out:
            out.write(data)
            out.seek(0)
            with tarfile.open(fileobj=out) as archive:
                link = archive.getmember("b")
        self.assertEqual((link.mode, link.uid, link.linkname),
                         (0o4755, 3, "a"))


class RegistryTest(unittest.TestCase):
    def setUp(self):
        # pylint: disable-next=consider-using-with
        self.scratch = tempfile.TemporaryDirectory(prefix="pn-registry-")
        self.place = pathlib.Path(self.scratch.name) / "registry"

    def tearDown(self):
        registry("stop", self.place)
        self.scratch.cleanup()

    def get(self, address, path, accept=""):
        connection = http.client.HTTPConnection(address, timeout=20)
        connection.request("GET", path, headers={"Accept": accept})
        try:
            return connection.getresponse().read()
        finally:
            connection.close()

    def test_serves_every_image_with_the_bytes_it_names(self):
        started = registry("start", self.place, 0)
        self.assertEqual(started.returncode, 0, started.stderr)
        address = started.stdout.strip()
        listed = dict(line.split() for line in
                      registry("list", self.place).stdout.splitlines())
        wanted = {":".join(catalog.split(reference)) for reference in
                  registry("images").stdout.split()}
        self.assertEqual(set(listed), wanted)

        name, digest = "pinion-test/mixed", listed["pinion-test/mixed:1"]
        manifest = self.get(address, f"/v2/{name}/manifests/{digest}",
                            image.MEDIA_TYPES["oci"]["manifest"])
        self.assertEqual(image.digest(manifest), digest)
        for layer in json.loads(manifest)["layers"]:
            blob = self.get(address, f"/v2/{name}/blobs/{layer['digest']}")
            self.assertEqual(image.digest(blob), layer["digest"])
            self.assertEqual(len(blob), layer["size"])

    def test_stops_for_good_and_stopping_again_is_success(self):
        self.assertEqual(
            registry("start", self.place, 0, "--empty").returncode, 0)
        self.assertNotEqual(
            registry("start", self.place, 0, "--empty").returncode, 0)
        self.assertEqual(registry("stop", self.place).returncode, 0)
        self.assertEqual(registry("stop", self.place).returncode, 0)
        self.assertEqual(registry("address", self.place).returncode, 1)

    def test_archive_holds_what_its_index_names(self):
        archive = pathlib.Path(self.scratch.name) / "image.tar"
        made = registry("archive", catalog.E2E + "busybox:1.29-2", archive)
        self.assertEqual(made.returncode, 0, made.stderr)
        with tarfile.open(archive) as file:
            def read(name):
                return file.extractfile(name).read()
            index = json.loads(read("index.json"))
            digest = index["manifests"][0]["digest"]
            manifest = read("blobs/" + digest.replace(":", "/"))
            self.assertEqual(image.digest(manifest), digest)
            for part in json.loads(manifest)["layers"]:
                blob = read("blobs/" + part["digest"].replace(":", "/"))
                self.assertEqual(image.digest(blob), part["digest"])


if __name__ == "__main__":
    unittest.main()
