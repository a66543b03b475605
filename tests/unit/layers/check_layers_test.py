"""The checker itself: each rule, broken once in a tree of its own."""

import os
import tempfile
import unittest

import check_layers

# The least tree that breaks no rule.
CLEAN = {
    "base/README.md": "base\n",
    "base/id.h": "#include <string>\n",
    "base/CMakeLists.txt": "pinion_library(pinion_base SRCS id.cc)\n",
    "os/README.md": "os\n",
    "os/file.h": '#include "absl/status/status.h"\n#include "base/id.h"\n',
    "os/CMakeLists.txt": "pinion_library(pinion_os SRCS f.cc\n"
                         "  DEPS pinion_base absl::status)\n",
    "image/README.md": "image\n",
    "image/image_service.h": '#include "os/file.h"\n',
    "image/CMakeLists.txt": "pinion_library(pinion_image DEPS pinion_os)\n",
    "network/README.md": "network\n",
    "network/pod_network.h": '#include "os/file.h"\n',
    "runtime/README.md": "runtime\n",
    "runtime/runtime.h": '#include "image/image_service.h"\n'
                         '#include "network/pod_network.h"\n'
                         '#include "state.pb.h"\n',
    "runtime/launch/README.md": "launch\n",
    "runtime/launch/child.cc": "#include <unistd.h>\n",
    "runtime/launch/CMakeLists.txt":
        "add_library(pinion_launch OBJECT child.cc)\n",
    "runtime/monitor/README.md": "monitor\n",
    "runtime/monitor/loop.cc": '#include "runtime/launch/child.h"\n',
    "runtime/launch/child.h": "\n",
    "runtime/monitor/client.cc": '#include "absl/status/status.h"\n'
                                 '#include "os/file.h"\n',
    "cri/README.md": "cri\n",
    "cri/api.h": '#include "runtime/v1/api.pb.h"\n',
    "cri/translate_sandbox.cc": '#include "cri/api.h"\n'
                                '#include "state.pb.h"\n',
    "cri/grpc_image_service.cc": "#include <grpcpp/grpcpp.h>\n",
    "cri/CMakeLists.txt": "pinion_library(pinion_cri SRCS api.cc DEPS\n"
                          "  pinion_image pinion_cri_proto_grpc)\n",
    "tests/support/fake.h": '#include "cri/api.h"\n'
                            "#include <grpcpp/grpcpp.h>\n",
}


class CheckLayersTest(unittest.TestCase):

    def complaints(self, changes):
        with tempfile.TemporaryDirectory() as tree:
            for path, text in {**CLEAN, **changes}.items():
                full = os.path.join(tree, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as file:
                    file.write(text)
            return list(check_layers.check(tree))

    def assert_broken(self, changes, text):
        found = self.complaints(changes)
        self.assertEqual(len(found), 1, found)
        self.assertIn(text, found[0])

    def test_clean_tree(self):
        self.assertEqual(self.complaints({}), [])

    def test_includes_only_downward(self):
        for path, header in [
                ("base/a.cc", "os/file.h"),
                ("os/a.cc", "image/image_service.h"),
                ("image/a.cc", "network/pod_network.h"),
                ("network/a.cc", "image/image_service.h"),
                ("network/a.cc", "runtime/runtime.h"),
                ("runtime/a.cc", "cri/api.h")]:
            with self.subTest(path=path, header=header):
                self.assert_broken({path: f'#include "{header}"\n'},
                                   "may not know")

    def test_angle_brackets_hide_nothing(self):
        self.assert_broken({"base/a.cc": "#  include <os/file.h>\n"},
                           "base/a.cc:1")

    def test_comments_and_generated_code_are_no_includes(self):
        self.assertEqual(self.complaints({
            "base/a.cc": '// #include "os/file.h"\n',
            "build/base/a.cc": '#include "os/file.h"\n'}), [])

    def test_product_knows_no_tests(self):
        self.assert_broken({"cri/a.cc": '#include "tests/support/fake.h"\n'},
                           "is product code")

    def test_headers_are_named_from_the_top(self):
        self.assert_broken({"base/a.cc": '#include "id.h"\n'}, "no path")
        self.assert_broken({"base/a.cc": '#include "../base/id.h"\n'},
                           "no path")

    def test_grpc_in_its_files_only(self):
        for header in ["<grpcpp/grpcpp.h>", "<grpc/grpc.h>",
                       '"admin.grpc.pb.h"']:
            with self.subTest(header=header):
                self.assert_broken({"cri/a.cc": f"#include {header}\n"},
                                   "sees gRPC")

    def test_protobuf_in_its_folders_only(self):
        self.assert_broken({"image/a.cc": '#include "state.pb.h"\n'},
                           "no folder for this protobuf")
        self.assert_broken(
            {"runtime/a.cc": '#include "runtime/v1/api.pb.h"\n'},
            "no folder for this protobuf")

    def test_messages_and_records_meet_in_translate_only(self):
        self.assert_broken(
            {"cri/a.cc": '#include "cri/api.h"\n#include "state.pb.h"\n'},
            "outside translate")

    def test_the_monitor_knows_nothing_but_launch(self):
        for path, header in [("runtime/launch/a.cc", "absl/status/status.h"),
                             ("runtime/monitor/a.cc", "absl/status/status.h"),
                             ("runtime/launch/a.cc", "base/id.h"),
                             ("runtime/monitor/a.cc", "os/file.h")]:
            with self.subTest(path=path, header=header):
                self.assert_broken({path: f'#include "{header}"\n'},
                                   "part of the monitor")
        self.assert_broken(
            {"runtime/monitor/client.h": "\n",
             "runtime/monitor/a.cc":
                 '#include "runtime/monitor/client.h"\n'},
            "not of its client")

    def test_links_only_downward(self):
        self.assert_broken(
            {"os/CMakeLists.txt":
                 "pinion_library(pinion_os DEPS pinion_base\n"
                 "  PRIVATE_DEPS pinion_image)\n"},
            "pinion_os links pinion_image")
        self.assert_broken(
            {"os/CMakeLists.txt": "pinion_library(pinion_os SRCS f.cc)\n"
                 "target_link_libraries(pinion_os PUBLIC pinion_cri)\n"},
            "pinion_os links pinion_cri")

    def test_link_lines_in_comments_do_not_count(self):
        self.assertEqual(self.complaints(
            {"os/CMakeLists.txt":
                 "pinion_library(pinion_os # pinion_image (not yet)\n"
                 "  DEPS pinion_base)\n"}), [])

    def test_links_of_grpc_and_protobuf(self):
        self.assert_broken(
            {"image/CMakeLists.txt":
                 "pinion_library(pinion_image DEPS PkgConfig::grpc__)\n"},
            "must not link gRPC")
        self.assert_broken(
            {"image/CMakeLists.txt":
                 "pinion_library(pinion_image DEPS pinion_cri_proto)\n"},
            "no folder for this protobuf")
        self.assert_broken(
            {"runtime/launch/CMakeLists.txt":
                 "add_library(pinion_launch OBJECT child.cc)\n"
                 "target_link_libraries(pinion_launch absl::status)\n"},
            "knows no Abseil")

    def test_product_links_no_tests(self):
        self.assert_broken(
            {"tests/support/CMakeLists.txt":
                 "pinion_library(pinion_test_support)\n",
             "os/CMakeLists.txt":
                 "pinion_library(pinion_os DEPS pinion_test_support)\n"},
            "is product code")

    def test_files_have_at_most_600_lines(self):
        self.assertEqual(self.complaints({"base/a.cc": "\n" * 600}), [])
        self.assert_broken({"base/a.cc": "\n" * 601}, "601 lines")
        self.assert_broken({"tests/unit/x.py": "\n" * 601}, "601 lines")

    def test_the_median_file_is_short(self):
        self.assert_broken(
            {f"base/f{i}.cc": "\n" * 200 for i in range(40)}, "median")

    def test_each_folder_has_a_short_readme(self):
        self.assert_broken({"ipam/pool.h": "\n"}, "has no README.md")
        self.assert_broken({"os/README.md": "x\n" * 41}, "41 lines")


if __name__ == "__main__":
    unittest.main()
