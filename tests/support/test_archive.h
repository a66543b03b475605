// The image that tests run: Debian's busybox, applets as hard links.

#ifndef PINION_TESTS_SUPPORT_TEST_ARCHIVE_H_
#define PINION_TESTS_SUPPORT_TEST_ARCHIVE_H_

#include <string>

namespace pinion::testing {

inline constexpr char kTestImage[] =
    "registry.k8s.io/e2e-test-images/busybox:1.29-2";

// The path of its OCI archive, made once per build directory. Exits the
// program with a message if it cannot be made: nothing can be tested then.
std::string TestArchive();

}  // namespace pinion::testing

#endif  // PINION_TESTS_SUPPORT_TEST_ARCHIVE_H_
