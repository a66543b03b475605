// The images that tests run: those of the conformance kit.

#ifndef PINION_TESTS_SUPPORT_TEST_ARCHIVE_H_
#define PINION_TESTS_SUPPORT_TEST_ARCHIVE_H_

#include <string>

namespace pinion::testing {

// Debian's busybox, applets as hard links.
inline constexpr char kTestImage[] =
    "registry.k8s.io/e2e-test-images/busybox:1.29-2";

// The path of an image's OCI archive, made once per build directory. Exits the
// program with a message if it cannot be made: nothing can be tested then.
std::string TestArchive(const std::string& reference = kTestImage);

}  // namespace pinion::testing

#endif  // PINION_TESTS_SUPPORT_TEST_ARCHIVE_H_
