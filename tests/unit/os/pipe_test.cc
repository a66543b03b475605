#include "os/pipe.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>

namespace pinion::os {
namespace {

TEST(PipeTest, EndsAreCloseOnExecAndBlocking) {
  const auto pipe = MakePipe("test");
  ASSERT_TRUE(pipe.ok()) << pipe.status();
  for (const UniqueFd* end : {&pipe->reader, &pipe->writer}) {
    EXPECT_EQ(fcntl(end->get(), F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(fcntl(end->get(), F_GETFL) & O_NONBLOCK, 0);
  }
}

TEST(PipeTest, CopiesShareTheirMode) {
  const auto pipe = MakePipe("test");
  ASSERT_TRUE(pipe.ok()) << pipe.status();
  const auto copy = Duplicate(pipe->reader.get());
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_EQ(fcntl(copy->get(), F_GETFD), FD_CLOEXEC);
  ASSERT_TRUE(SetNonBlocking(copy->get()).ok());
  char byte = 0;
  EXPECT_EQ(read(pipe->reader.get(), &byte, 1), -1);
  EXPECT_EQ(errno, EAGAIN);
}

TEST(PipeTest, WhatIsNoDescriptorIsAnError) {
  EXPECT_FALSE(SetNonBlocking(-1).ok());
  EXPECT_FALSE(Duplicate(-1).ok());
}

}  // namespace
}  // namespace pinion::os
