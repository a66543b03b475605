#include "tests/integration/runtime/runtime_bed.h"

#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "network/factory.h"
#include "tests/support/test_archive.h"

namespace pinion::runtime {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

[[noreturn]] void GiveUp(const std::string& what) {
  std::fprintf(stderr, "runtime bed: %s\n", what.c_str());
  std::exit(1);
}

template <typename T>
T OrGiveUp(absl::StatusOr<T> value, const std::string& what) {
  if (!value.ok()) GiveUp(absl::StrCat(what, ": ", value.status().ToString()));
  return *std::move(value);
}

std::string CgroupRoot() {
  return OrGiveUp(cgroup::FindHierarchy(), "cgroups").root;
}

// Polls for `events` until the deadline.
bool Await(int fd, short events, Clock::time_point deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  pollfd ready = {fd, events, 0};
  return left.count() > 0 &&
         poll(&ready, 1, static_cast<int>(left.count())) == 1;
}

}  // namespace

RuntimeBed::RuntimeBed() {
  char name[] = "/tmp/pn-rt-XXXXXX";
  if (mkdtemp(name) == nullptr) GiveUp("mkdtemp");
  dir_ = name;
  cgroup_parent_ = "/pinion-test-" + dir_.substr(dir_.size() - 6);
  for (const char* part : {"/root", "/state", "/logs"}) {
    fs::create_directories(dir_ + part);
  }
  Open();
  OrGiveUp(images_->Import(testing::TestArchive(), ""), "import");
  before_ = testing_support::TakeSnapshot(WhatMustStay());
}

RuntimeBed::~RuntimeBed() {
  for (const PodSnapshot& pod : runtime_->ListPods()) {
    const absl::Status stopped = runtime_->StopPod(pod->id());
    EXPECT_TRUE(stopped.ok()) << stopped;
    const absl::Status removed = runtime_->RemovePod(pod->id());
    EXPECT_TRUE(removed.ok()) << removed;
  }
  // A monitor whose daemon restarted is its parent's to reap: ours.
  EXPECT_TRUE(!restarted_ ||
              Eventually([] { return waitpid(-1, nullptr, WNOHANG) < 0; }));
  EXPECT_EQ(testing_support::AwaitBaseline(before_, WhatMustStay()), "")
      << "left behind (invariant L)";
  runtime_.reset();
  std::error_code ignored;
  fs::remove(CgroupRoot() + cgroup_parent_, ignored);
  fs::remove_all(dir_, ignored);
}

testing_support::InvariantOptions RuntimeBed::WhatMustStay() const {
  testing_support::InvariantOptions what;
  what.cgroup_parents = {cgroup_parent_};
  what.trees = {dir_ + "/state/pods", dir_ + "/root/containers",
                dir_ + "/root/layers"};
  what.pid = getpid();
  what.fd_slack = 1;  // the program of the device filter, which is kept
  what.state_dir = dir_ + "/state";
  return what;
}

void RuntimeBed::Open() {
  metrics_ = metrics::Registry::Create();
  image::Options images;
  images.root = dir_ + "/root";
  images.database = dir_ + "/root/state.db";
  images_ = OrGiveUp(image::ImageService::Create(images, *metrics_), "images");
  network::Options network;
  network.mode = network::Options::Mode::kNone;
  network.ipam_dir = dir_ + "/state/ipam";
  network_ = OrGiveUp(network::NewPodNetwork(network, *metrics_), "network");
  cgroup::DriverOptions driver;
  driver.hierarchy = OrGiveUp(cgroup::FindHierarchy(), "cgroups");
  driver.owner = images.root;
  driver.default_parent = cgroup_parent_;
  driver_ = OrGiveUp(cgroup::NewCgroupfsDriver(driver), "cgroups");
  cgroups_ = std::make_unique<cgroup::ContainerCgroups>(
      driver.hierarchy, cgroup::MissingControllers::kIgnore);
  Options options;
  options.root = images.root;
  options.state = dir_ + "/state";
  Dependencies dependencies;
  dependencies.images = images_.get();
  dependencies.network = network_.get();
  dependencies.pod_cgroups = driver_.get();
  dependencies.container_cgroups = cgroups_.get();
  dependencies.metrics = metrics_.get();
  runtime_ = OrGiveUp(Runtime::Create(options, dependencies), "runtime");
}

void RuntimeBed::Restart() {
  runtime_.reset();
  cgroups_.reset();
  driver_.reset();
  network_.reset();
  images_.reset();
  Open();
  restarted_ = true;
}

std::string RuntimeBed::RunPod(const std::string& name, bool host_network) {
  state::PodSpec spec;
  spec.set_name(name);
  spec.set_uid(name + "-uid");
  spec.set_namespace_("test");
  spec.set_log_directory(dir_ + "/logs/" + name);
  if (!host_network) spec.set_hostname(name);
  state::Namespaces& namespaces = *spec.mutable_namespaces();
  namespaces.set_network(host_network ? state::NAMESPACE_NODE
                                      : state::NAMESPACE_POD);
  namespaces.set_pid(state::NAMESPACE_CONTAINER);
  fs::create_directories(spec.log_directory());
  const auto id = runtime_->RunPod(spec);
  EXPECT_TRUE(id.ok()) << id.status();
  return id.value_or("");
}

state::ContainerSpec RuntimeBed::Spec(const std::string& name,
                                      const std::string& script) const {
  state::ContainerSpec spec;
  spec.set_name(name);
  spec.set_image(testing::kTestImage);
  for (const std::string& word : {std::string("sh"), std::string("-c"), script})
    spec.add_command(word);
  spec.set_log_path(name + ".log");
  spec.mutable_security()->mutable_namespaces()->set_pid(
      state::NAMESPACE_CONTAINER);
  return spec;
}

std::string RuntimeBed::Run(const std::string& pod,
                            const state::ContainerSpec& wanted) {
  state::ContainerSpec spec = wanted;
  const auto found = runtime_->FindPod(pod);
  if (found.ok()) {
    spec.mutable_security()->mutable_namespaces()->set_network(
        (*found)->spec().namespaces().network());
  }
  const auto id = runtime_->CreateContainer(pod, spec);
  EXPECT_TRUE(id.ok()) << id.status();
  if (!id.ok()) return "";
  const absl::Status started = runtime_->StartContainer(*id);
  EXPECT_TRUE(started.ok()) << started;
  return *id;
}

std::string RuntimeBed::Shell(const std::string& container,
                              const std::string& script) {
  const auto result = runtime_->ExecSync(container, {"sh", "-c", script},
                                         std::chrono::seconds(60));
  EXPECT_TRUE(result.ok()) << result.status();
  if (!result.ok()) return "";
  EXPECT_EQ(result->exit_code, 0) << result->stderr_data;
  return result->stdout_data;
}

std::vector<std::string> RuntimeBed::ExecCgroups(const std::string& container) {
  std::vector<std::string> names;
  const auto record = runtime_->FindContainer(container);
  if (!record.ok()) return names;
  const auto pod = runtime_->FindPod((*record)->pod_id());
  if (!pod.ok()) return names;
  std::error_code gone;
  for (const auto& entry : fs::directory_iterator(
           absl::StrCat(CgroupRoot(), (*pod)->cgroup(), "/", container),
           gone)) {
    const std::string name = entry.path().filename();
    if (absl::StartsWith(name, "exec-")) names.push_back(name);
  }
  return names;
}

std::string RuntimeBed::Log(const std::string& container,
                            const std::string& stream) {
  std::string text;
  const auto record = runtime_->FindContainer(container);
  if (!record.ok()) return text;
  std::ifstream file((*record)->log_path());
  for (std::string line; std::getline(file, line);) {
    // "TIME STREAM TAG MESSAGE"
    const size_t name = line.find(' ') + 1;
    const size_t tag = line.find(' ', name) + 1;
    if (line.substr(name, tag - name - 1) != stream) continue;
    text += line.substr(tag + 2);
    if (line[tag] == 'F') text += '\n';
  }
  return text;
}

state::ContainerRecord RuntimeBed::AwaitExit(const std::string& container) {
  state::ContainerRecord record;
  EXPECT_TRUE(Eventually([&] {
    const auto found = runtime_->FindContainer(container);
    if (found.ok()) record = **found;
    return record.state() == state::CONTAINER_EXITED;
  })) << "container "
      << container << " has not ended";
  return record;
}

pid_t RuntimeBed::MonitorOf(const std::string& pod) {
  const auto found = runtime_->FindPod(pod);
  return found.ok() ? (*found)->monitor_pid() : 0;
}

bool ReadToEnd(int fd, std::string* data, int deadline_ms) {
  char buffer[65536];
  auto deadline = Clock::now() + std::chrono::milliseconds(deadline_ms);
  while (true) {
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n > 0) {
      data->append(buffer, static_cast<size_t>(n));
      deadline = Clock::now() + std::chrono::milliseconds(deadline_ms);
      continue;
    }
    if (n == 0 || errno == EIO) return true;
    if (errno != EAGAIN || !Await(fd, POLLIN, deadline)) return false;
  }
}

bool ReadUntil(int fd, const std::string& text, std::string* data,
               int deadline_ms) {
  char buffer[4096];
  const auto deadline = Clock::now() + std::chrono::milliseconds(deadline_ms);
  while (!absl::StrContains(*data, text)) {
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n > 0) {
      data->append(buffer, static_cast<size_t>(n));
      continue;
    }
    if (n == 0 || errno != EAGAIN || !Await(fd, POLLIN, deadline)) return false;
  }
  return true;
}

bool WriteAll(int fd, const std::string& data, int deadline_ms) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(deadline_ms);
  size_t at = 0;
  while (at < data.size()) {
    const ssize_t n = write(fd, data.data() + at, data.size() - at);
    if (n >= 0) {
      at += static_cast<size_t>(n);
    } else if (errno != EAGAIN || !Await(fd, POLLOUT, deadline)) {
      return false;
    }
  }
  return true;
}

absl::StatusOr<int32_t> AwaitEnd(const ProcessStreams& streams,
                                 int deadline_ms) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(deadline_ms);
  if (!Await(streams.ended_fd(), POLLIN, deadline)) {
    return absl::DeadlineExceededError("it has not ended");
  }
  const auto outcome = streams.Outcome();
  if (!outcome.has_value()) return absl::InternalError("ended, no outcome");
  return *outcome;
}

size_t OpenFds(pid_t pid) {
  size_t count = 0;
  std::error_code gone;
  for ([[maybe_unused]] const auto& entry :
       fs::directory_iterator(absl::StrCat("/proc/", pid, "/fd"), gone)) {
    ++count;
  }
  if (count > 0) return count;
  // Gone, or a zombie. Said once, however often it is looked at.
  if (!::testing::Test::HasFailure()) {
    ADD_FAILURE() << "process " << pid << " has ended";
  }
  return SIZE_MAX;
}

size_t Threads(pid_t pid) {
  size_t count = 0;
  std::error_code gone;
  for ([[maybe_unused]] const auto& entry :
       fs::directory_iterator(absl::StrCat("/proc/", pid, "/task"), gone)) {
    ++count;
  }
  return count;
}

int64_t MemoryKib(pid_t pid, const std::string& key) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/smaps_rollup"));
  for (std::string line; std::getline(file, line);) {
    if (absl::StartsWith(line, key + ":")) {
      return std::stoll(line.substr(key.size() + 1));
    }
  }
  return -1;
}

}  // namespace pinion::runtime
