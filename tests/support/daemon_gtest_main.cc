// main() of a test program with a piniond of its own.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/daemon_bed.h"

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  pinion::testing::DaemonBed::EnterTestHost();
  return RUN_ALL_TESTS();
}
