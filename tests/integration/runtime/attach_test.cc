// Attach, against real containers.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/integration/runtime/runtime_bed.h"

namespace pinion::runtime {
namespace {

using ::testing::HasSubstr;

constexpr StreamOptions kAll = {true, true, true, false};
constexpr StreamOptions kOut = {false, true, false, false};
constexpr StreamOptions kTerminal = {true, true, false, true};

class AttachTest : public ::testing::Test {
 protected:
  void SetUp() override {
    bed_ = std::make_unique<RuntimeBed>();
    pod_ = bed_->RunPod("attach");
  }

  std::string Start(const std::string& script, bool once, bool tty = false) {
    state::ContainerSpec spec = bed_->Spec("app", script);
    spec.set_stdin(true);
    spec.set_stdin_once(once);
    spec.set_tty(tty);
    return bed_->Run(pod_, spec);
  }

  std::unique_ptr<ProcessStreams> Attach(const std::string& id,
                                         const StreamOptions& options) {
    auto streams = bed_->runtime().OpenAttach(id, options);
    EXPECT_TRUE(streams.ok()) << streams.status();
    return streams.ok() ? *std::move(streams) : nullptr;
  }

  absl::StatusCode Code(const std::string& id, const StreamOptions& options) {
    return bed_->runtime().OpenAttach(id, options).status().code();
  }

  std::unique_ptr<RuntimeBed> bed_;
  std::string pod_;
};

TEST_F(AttachTest, ClientsAndLogGetTheSameAndLearnOfTheEnd) {
  const std::string id =
      Start("while read x; do echo out-$x; echo err-$x >&2; done; exit 9",
            /*once=*/true);
  const auto first = Attach(id, kAll);
  const auto second = Attach(id, kAll);
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  // For one client only.
  ASSERT_GE(first->input(), 0);
  EXPECT_EQ(second->input(), -1);
  EXPECT_EQ(first->Resize(80, 24).code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(WriteAll(first->input(), "1\n2\n"));
  std::string seen;
  ASSERT_TRUE(ReadUntil(first->output(), "out-2\n", &seen));
  EXPECT_FALSE(first->Outcome().has_value());
  first->CloseInput();
  for (const auto* streams : {first.get(), second.get()}) {
    const auto code = AwaitEnd(*streams);
    ASSERT_TRUE(code.ok()) << code.status();
    EXPECT_EQ(*code, 9);
    std::string out = streams == first.get() ? seen : "";
    std::string err;
    EXPECT_TRUE(ReadToEnd(streams->output(), &out));
    EXPECT_TRUE(ReadToEnd(streams->error(), &err));
    EXPECT_EQ(out, "out-1\nout-2\n");
    EXPECT_EQ(err, "err-1\nerr-2\n");
    // Level-triggered.
    EXPECT_EQ(AwaitEnd(*streams).value_or(-1), 9);
  }
  bed_->AwaitExit(id);
  EXPECT_EQ(bed_->Log(id, "stdout"), "out-1\nout-2\n");
  EXPECT_EQ(bed_->Log(id, "stderr"), "err-1\nerr-2\n");
}

TEST_F(AttachTest, StdinOfManyStaysOpenBetweenThem) {
  const std::string id =
      Start("while read x; do echo got-$x; done; echo over", /*once=*/false);
  for (const char* word : {"a", "b"}) {
    const auto streams = Attach(id, kAll);
    ASSERT_NE(streams, nullptr);
    ASSERT_TRUE(WriteAll(streams->input(), absl::StrCat(word, "\n")));
    std::string out;
    ASSERT_TRUE(ReadUntil(streams->output(), absl::StrCat("got-", word), &out));
    streams->CloseInput();
  }
  EXPECT_EQ(bed_->Shell(id, "echo alive"), "alive\n");
}

TEST_F(AttachTest, StdinOfOneEndsWithThatOne) {
  const std::string id = Start("cat; echo over", /*once=*/true);
  // Not for who does not ask for stdin.
  Attach(id, kOut).reset();
  auto streams = Attach(id, kAll);
  ASSERT_NE(streams, nullptr);
  ASSERT_TRUE(WriteAll(streams->input(), "last words\n"));
  streams.reset();
  EXPECT_EQ(bed_->AwaitExit(id).exit_code(), 0);
  EXPECT_EQ(bed_->Log(id, "stdout"), "last words\nover\n");
}

TEST_F(AttachTest, ATerminalIsShared) {
  const std::string id = Start(
      "trap 'stty size' WINCH; until read x; do :; done; echo got $x; "
      "until read x; do :; done",
      /*once=*/true, /*tty=*/true);
  const auto first = Attach(id, kTerminal);
  const auto second = Attach(id, kTerminal);
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  ASSERT_TRUE(WriteAll(second->input(), "hello\n"));
  std::string out;
  ASSERT_TRUE(ReadUntil(first->output(), "got hello", &out)) << out;
  // Again and again: a shell that is told just before it reads sleeps on.
  std::string other;
  ASSERT_TRUE(Eventually([&] {
    return first->Resize(80, 24).ok() && first->Resize(101, 33).ok() &&
           ReadUntil(second->output(), "33 101", &other, 1000);
  })) << other;
  // A terminal is not closed by one who leaves.
  second->CloseInput();
  EXPECT_EQ(bed_->Shell(id, "echo alive"), "alive\n");
  EXPECT_EQ(Code(id, kAll), absl::StatusCode::kFailedPrecondition);
}

TEST_F(AttachTest, WrongRequestsAreRefused) {
  const std::string id = bed_->Run(pod_, "exec sleep 100000");
  EXPECT_EQ(Code(id, {}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Code("nope", kAll), absl::StatusCode::kNotFound);
  EXPECT_EQ(Code(id, kTerminal), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Code(id, {true, true, true, true}),
            absl::StatusCode::kInvalidArgument);
  // It was made without stdin: there is only output to be had.
  const auto streams = Attach(id, kAll);
  ASSERT_NE(streams, nullptr);
  EXPECT_EQ(streams->input(), -1);
  ASSERT_TRUE(bed_->runtime().StopContainer(id, std::chrono::seconds(0)).ok());
  EXPECT_EQ(AwaitEnd(*streams).value_or(-1), 137);
  EXPECT_EQ(Code(id, kAll), absl::StatusCode::kFailedPrecondition);
}

TEST_F(AttachTest, TooManyClientsAreRefusedAndTheOthersStay) {
  const std::string id = Start("read x; echo $x; read x", /*once=*/false);
  const pid_t monitor = bed_->MonitorOf(pod_);
  const size_t fds = OpenFds(monitor);
  std::vector<std::unique_ptr<ProcessStreams>> clients;
  for (int i = 0; i < 128; ++i) clients.push_back(Attach(id, kAll));
  EXPECT_EQ(Code(id, kAll), absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(WriteAll(clients[5]->input(), "for all\n"));
  for (const auto& client : clients) {
    std::string out;
    EXPECT_TRUE(ReadUntil(client->output(), "for all\n", &out));
  }
  clients.clear();
  EXPECT_TRUE(Eventually([&] { return OpenFds(monitor) <= fds; }));
  EXPECT_NE(Attach(id, kAll), nullptr);
}

// More than all pipes hold, to a client that is slower than the container.
TEST_F(AttachTest, ASlowClientGetsEverythingAndSoDoesTheLog) {
  const std::string id = Start("read x; seq 1 200000; exit 4", /*once=*/false);
  const auto slow = Attach(id, kAll);
  const auto fast = Attach(id, kOut);
  ASSERT_NE(slow, nullptr);
  ASSERT_NE(fast, nullptr);
  ASSERT_TRUE(WriteAll(slow->input(), "go\n"));
  std::string fast_text;
  std::thread reader(
      [&] { EXPECT_TRUE(ReadToEnd(fast->output(), &fast_text)); });
  std::string slow_text;
  while (slow_text.size() < 500'000) {
    char buffer[4096];
    const ssize_t n = read(slow->output(), buffer, sizeof(buffer));
    if (n == 0) break;  // Too early: the comparison tells.
    if (n > 0) slow_text.append(buffer, static_cast<size_t>(n));
    // What makes it slow.
    std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
  EXPECT_TRUE(ReadToEnd(slow->output(), &slow_text));
  reader.join();
  EXPECT_EQ(AwaitEnd(*slow).value_or(-1), 4);
  bed_->AwaitExit(id);
  const std::string log = bed_->Log(id, "stdout");
  EXPECT_TRUE(slow_text == log) << slow_text.size() << " of " << log.size();
  EXPECT_TRUE(fast_text == log) << fast_text.size() << " of " << log.size();
  EXPECT_THAT(log.substr(log.size() - 14), HasSubstr("\n200000\n"));
}

TEST_F(AttachTest, AClientThatStopsReadingIsLetGoAndTheContainerGoesOn) {
  const std::string id =
      Start("read x; seq 1 100000; echo over; read x", /*once=*/false);
  const auto stuck = Attach(id, kAll);
  ASSERT_NE(stuck, nullptr);
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(WriteAll(stuck->input(), "go\n"));
  const auto outcome = AwaitEnd(*stuck, 2 * kPatienceMs);
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(outcome.status().message()), HasSubstr("detached"));
  // Not before its ten seconds; a slow machine only makes it later.
  EXPECT_GT(std::chrono::steady_clock::now() - start, std::chrono::seconds(9));
  EXPECT_TRUE(Eventually([&] {
    const std::string log = bed_->Log(id, "stdout");
    return log.size() > 5 && log.substr(log.size() - 5) == "over\n";
  }));
}

TEST_F(AttachTest, TheEndComesInTimeWhoeverDoesNotRead) {
  // It does not end by itself, however much the pipes hold.
  const std::string id =
      Start("read x; seq 1 30000; read x; exit 6", /*once=*/false);
  const auto stuck = Attach(id, kAll);
  ASSERT_NE(stuck, nullptr);
  ASSERT_TRUE(WriteAll(stuck->input(), "go\n"));
  // Let it fill the client's pipe before the container is killed.
  EXPECT_TRUE(Eventually([&] { return !bed_->Log(id, "stdout").empty(); }));
  ASSERT_TRUE(bed_->runtime().StopContainer(id, std::chrono::seconds(0)).ok());
  const std::string log = bed_->Log(id, "stdout");
  std::string text;
  EXPECT_TRUE(ReadToEnd(stuck->output(), &text));
  EXPECT_TRUE(text == log) << text.size() << " of " << log.size();
  EXPECT_EQ(AwaitEnd(*stuck).value_or(-1), 137);
}

TEST_F(AttachTest, ADaemonThatGoesAwayDetachesItsClients) {
  const std::string id = Start("while read x; do echo $x; done", false);
  const pid_t monitor = bed_->MonitorOf(pod_);
  const size_t fds = OpenFds(monitor);
  // In a process that is killed: its descriptors close, nothing else is done.
  int ready[2];
  ASSERT_EQ(pipe2(ready, O_CLOEXEC), 0);
  std::vector<std::unique_ptr<ProcessStreams>> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(Attach(id, kAll));
  const pid_t holder = fork();
  if (holder == 0) {
    char byte = 0;
    (void)!read(ready[0], &byte, 1);
    _exit(0);
  }
  ASSERT_GT(holder, 0);
  clients.clear();
  bed_->Restart();
  EXPECT_GT(OpenFds(monitor), fds) << "the holder still has the pipes";
  kill(holder, SIGKILL);
  waitpid(holder, nullptr, 0);
  close(ready[0]);
  close(ready[1]);
  EXPECT_TRUE(Eventually([&] { return OpenFds(monitor) <= fds; }))
      << OpenFds(monitor) << " instead of " << fds;
  // The container's stdin has outlived them all.
  const auto streams = Attach(id, kAll);
  ASSERT_NE(streams, nullptr);
  ASSERT_TRUE(WriteAll(streams->input(), "again\n"));
  std::string out;
  EXPECT_TRUE(ReadUntil(streams->output(), "again", &out));
}

TEST_F(AttachTest, ADeadMonitorEndsTheSession) {
  const std::string id = Start("cat", false);
  const auto streams = Attach(id, kAll);
  ASSERT_NE(streams, nullptr);
  ASSERT_EQ(kill(bed_->MonitorOf(pod_), SIGKILL), 0);
  EXPECT_EQ(AwaitEnd(*streams).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(Eventually([&] {
    return (*bed_->runtime().FindPod(pod_))->state() == state::POD_NOT_READY;
  }));
}

TEST_F(AttachTest, ClientsThatComeAndGoLeaveNothing) {
  const std::string id =
      Start("while :; do echo 0123456789; echo abc >&2; done", false);
  const pid_t monitor = bed_->MonitorOf(pod_);
  const size_t fds = OpenFds(monitor);
  const size_t own_fds = OpenFds(getpid());
  std::vector<std::thread> clients;
  for (unsigned t = 0; t < 16; ++t) {
    clients.emplace_back([this, t, &id] {
      std::minstd_rand random(t + 1);
      for (int i = 0; i < 16; ++i) {
        const auto streams = Attach(id, kAll);
        if (streams == nullptr || random() % 3 == 0) continue;
        std::string out;
        EXPECT_TRUE(ReadUntil(streams->output(), "9\n01", &out));
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(Eventually([&] { return OpenFds(monitor) <= fds; }))
      << OpenFds(monitor) << " instead of " << fds;
  EXPECT_TRUE(Eventually([&] { return OpenFds(getpid()) <= own_fds; }))
      << OpenFds(getpid()) << " instead of " << own_fds;
}

}  // namespace
}  // namespace pinion::runtime
