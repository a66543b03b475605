// The daemon's side of a dump, with a shell script for criu: what real criu
// does is tested in the VM (tests/conformance/crictl_checkpoint.sh). Needs
// root: it enters namespaces.

#include "runtime/checkpoint/criu_dump.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "os/process.h"
#include "tests/support/scratch_dir.h"

namespace pinion::checkpoint {
namespace {

using ::testing::HasSubstr;

// Finds the script that pinion gives criu, and the images' directory.
constexpr char kPrologue[] = R"(#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in
    --action-script) script=$2 ;;
    --images-dir) images=$2 ;;
  esac
  shift
done
)";
constexpr char kGood[] = R"(
CRTOOLS_SCRIPT_ACTION=pre-dump "$script" || exit 1
CRTOOLS_SCRIPT_ACTION=post-dump "$script" || exit 1
echo resumed >"$images/resumed"
)";

class CriuDumpTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(mkdir(At("images").c_str(), 0700), 0);
    run_.criu = At("criu");
    run_.command.pid = 1;
    run_.command.images_dir = At("images");
    run_.namespaces_pid = getpid();
    run_.namespaces_start_ticks = os::ProcessStartTicks(getpid()).value();
    run_.deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    run_.while_stopped = [this] {
      ++stops_;
      resumed_early_ = access(At("images/resumed").c_str(), F_OK) == 0;
      return absl::OkStatus();
    };
  }
  std::string At(const std::string& path) const {
    return scratch_.path() + "/" + path;
  }
  void SetCriu(const std::string& body) {
    std::ofstream(At("criu")) << kPrologue << body;
    ASSERT_EQ(chmod(At("criu").c_str(), 0755), 0);
  }

  testing::ScratchDir scratch_;
  DumpRun run_;
  int stops_ = 0;
  bool resumed_early_ = false;
};

TEST_F(CriuDumpTest, TheContainerStandsUntilItsRootIsCopied) {
  SetCriu(kGood);
  const absl::Status status = Dump(run_);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(stops_, 1);
  EXPECT_FALSE(resumed_early_);
  EXPECT_EQ(access(At("images/resumed").c_str(), F_OK), 0);
}

TEST_F(CriuDumpTest, ItGoesOnAlsoIfTheCopyFails) {
  SetCriu(kGood);
  run_.while_stopped = [] { return absl::ResourceExhaustedError("full"); };
  EXPECT_EQ(Dump(run_).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(access(At("images/resumed").c_str(), F_OK), 0);
}

TEST_F(CriuDumpTest, CriusOwnWordsSayWhyItRefuses) {
  SetCriu(
      "echo '(0.1) Error (x.c:1): no such luck' >\"$images/dump.log\"\n"
      "exit 1\n");
  const absl::Status status = Dump(run_);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no such luck"));
  EXPECT_EQ(stops_, 0);
}

TEST_F(CriuDumpTest, ACriuThatIsNotThereOrDoesNotStopAnythingIsAnError) {
  EXPECT_FALSE(Dump(run_).ok());
  SetCriu("exit 0\n");
  EXPECT_EQ(Dump(run_).code(), absl::StatusCode::kInternal);
}

TEST_F(CriuDumpTest, WhatTookTooLongIsAFailureOnceTheContainerGoesOn) {
  SetCriu(kGood);
  run_.deadline = std::chrono::steady_clock::now();
  EXPECT_EQ(Dump(run_).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(access(At("images/resumed").c_str(), F_OK), 0);
}

TEST_F(CriuDumpTest, AnotherProcessWithTheMonitorsPidIsNotEntered) {
  SetCriu(kGood);
  ++run_.namespaces_start_ticks;
  EXPECT_EQ(Dump(run_).code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace pinion::checkpoint
