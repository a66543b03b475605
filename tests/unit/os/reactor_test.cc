#include "os/reactor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <atomic>
#include <future>

namespace pinion::os {
namespace {

TEST(ReactorTest, CallsBackWhenReadable) {
  auto reactor = *Reactor::Create();
  int pipe_fds[2];
  ASSERT_EQ(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
  const UniqueFd reader(pipe_fds[0]);
  const UniqueFd writer(pipe_fds[1]);
  std::promise<char> got;
  ASSERT_TRUE(reactor
                  ->Add(reader.get(), EPOLLIN,
                        [&](uint32_t) {
                          char c = 0;
                          if (read(reader.get(), &c, 1) == 1) got.set_value(c);
                        })
                  .ok());
  ASSERT_EQ(write(writer.get(), "x", 1), 1);
  EXPECT_EQ(got.get_future().get(), 'x');
  reactor->Remove(reader.get());
}

TEST(ReactorTest, RemoveWaitsForARunningCallback) {
  auto reactor = *Reactor::Create();
  int pipe_fds[2];
  ASSERT_EQ(pipe2(pipe_fds, O_CLOEXEC), 0);
  const UniqueFd reader(pipe_fds[0]);
  const UniqueFd writer(pipe_fds[1]);
  std::promise<void> entered;
  std::promise<void> leave;
  std::atomic<bool> left = false;
  bool first = true;
  ASSERT_TRUE(reactor
                  ->Add(reader.get(), EPOLLIN,
                        [&](uint32_t) {
                          if (!first) return;
                          first = false;
                          entered.set_value();
                          leave.get_future().wait();
                          left = true;
                        })
                  .ok());
  ASSERT_EQ(write(writer.get(), "x", 1), 1);
  entered.get_future().wait();
  std::thread releaser([&] { leave.set_value(); });
  reactor->Remove(reader.get());
  EXPECT_TRUE(left);
  releaser.join();
}

TEST(ReactorTest, TimersRunInOrderAndCanBeCancelled) {
  auto reactor = *Reactor::Create();
  std::promise<void> done;
  std::vector<int> order;
  // None runs before all are made.
  std::promise<void> made;
  reactor->Post([&made] { made.get_future().wait(); });
  reactor->After(std::chrono::milliseconds(20), [&] {
    order.push_back(2);
    done.set_value();
  });
  reactor->After(std::chrono::milliseconds(1), [&] { order.push_back(1); });
  const auto cancelled =
      reactor->After(std::chrono::milliseconds(5), [&] { order.push_back(9); });
  EXPECT_TRUE(reactor->Cancel(cancelled));
  EXPECT_FALSE(reactor->Cancel(cancelled));
  made.set_value();
  done.get_future().wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

}  // namespace
}  // namespace pinion::os
