// Waiting for the drift guard's first look at a cgroup.
//
// Thread-safe.

#ifndef PINION_TESTS_INTEGRATION_CGROUP_FIRST_LOOK_H_
#define PINION_TESTS_INTEGRATION_CGROUP_FIRST_LOOK_H_

#include <gtest/gtest.h>

#include "absl/synchronization/mutex.h"
#include "runtime/cgroup/limit_book.h"
#include "tests/support/eventually.h"

namespace pinion::cgroup {

// Until it has been: it is at all files, and knows nobody who wrote.
inline void AwaitFirstLook(const BookedCgroupPtr& cgroup) {
  EXPECT_TRUE(testing_support::Eventually([&] {
    const absl::MutexLock lock(&cgroup->mutex);
    return cgroup->complete;
  }));
}

}  // namespace pinion::cgroup

#endif  // PINION_TESTS_INTEGRATION_CGROUP_FIRST_LOOK_H_
