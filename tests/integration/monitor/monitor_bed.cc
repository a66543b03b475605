#include "tests/integration/monitor/monitor_bed.h"

#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <sstream>

#include "os/file.h"
#include "runtime/launch/plan_writer.h"

namespace pinion::monitor {
namespace {

constexpr uint64_t kCapabilities = 0xa80425fb;
// Machines under load, and emulated ones.
constexpr auto kPatience = std::chrono::seconds(60);

// What tests mount is theirs alone.
class OwnMountNamespace : public testing::Environment {
 public:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0u) << "needs root";
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  }
};

[[maybe_unused]] testing::Environment* const environment =
    testing::AddGlobalTestEnvironment(new OwnMountNamespace);

void MakeBusyboxLayer(const std::string& layer) {
  for (const char* name : {"/usr/bin", "/tmp", "/etc"}) {
    ASSERT_TRUE(os::MakeDirs(layer + name, 0755).ok());
  }
  ASSERT_EQ(symlink("usr/bin", (layer + "/bin").c_str()), 0);
  const std::string bin = layer + "/usr/bin";
  const std::string install =
      "cp /usr/bin/busybox " + bin + " && /usr/bin/busybox --install -s " + bin;
  ASSERT_EQ(system(install.c_str()), 0);
}

}  // namespace

Callbacks Events::MakeCallbacks() {
  Callbacks callbacks;
  callbacks.on_exit = [this](const ExitRecord& record) {
    const std::lock_guard<std::mutex> lock(mutex_);
    exits_.push_back(record);
    changed_.notify_all();
  };
  callbacks.on_lost = [this] {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++lost_;
    changed_.notify_all();
  };
  callbacks.on_init_exit = [this](const ExitRecord& record) {
    const std::lock_guard<std::mutex> lock(mutex_);
    init_exits_.push_back(record);
    changed_.notify_all();
  };
  return callbacks;
}

ExitRecord Events::WaitExit(const std::string& id) {
  std::unique_lock<std::mutex> lock(mutex_);
  auto found = exits_.end();
  changed_.wait_for(lock, kPatience, [&] {
    found = std::find_if(exits_.begin(), exits_.end(),
                         [&](const ExitRecord& e) { return e.id == id; });
    return found != exits_.end();
  });
  if (found == exits_.end()) {
    ADD_FAILURE() << "no exit of " << id << " was reported";
    return {};
  }
  return *found;
}

bool Events::WaitLost() {
  std::unique_lock<std::mutex> lock(mutex_);
  return changed_.wait_for(lock, kPatience, [this] { return lost_ > 0; });
}

size_t Events::CountExits(const std::string& id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<size_t>(
      std::count_if(exits_.begin(), exits_.end(),
                    [&](const ExitRecord& e) { return e.id == id; }));
}

std::vector<ExitRecord> Events::init_exits() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait_for(lock, kPatience, [this] { return !init_exits_.empty(); });
  return init_exits_;
}

size_t Events::lost() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return lost_;
}

void Events::Clear() {
  const std::lock_guard<std::mutex> lock(mutex_);
  exits_.clear();
  lost_ = 0;
}

void MonitorTest::SetUp() {
  dir_ = "/tmp/pn-monitor-" + std::to_string(getpid());
  testing_support::InvariantOptions baseline;
  baseline.pid = getpid();
  baseline.state_dir = dir_;
  invariant_ = std::make_unique<testing_support::InvariantGuard>(baseline);
  // Longer than a socket's address may be.
  pod_dir_ = dir_ + "/pods/" + std::string(120, 'p');
  ASSERT_TRUE(os::MakeDirs(pod_dir_, 0700).ok());
  ASSERT_TRUE(os::MakeDirs(dir_ + "/logs", 0755).ok());
  ASSERT_TRUE(os::MakeDirs(dir_ + "/layers/1", 0755).ok());
  MakeBusyboxLayer(dir_ + "/layers/1");
  auto fd = os::OpenAt(AT_FDCWD, pod_dir_, O_PATH | O_DIRECTORY);
  ASSERT_TRUE(fd.ok()) << fd.status();
  pod_dir_fd_ = std::move(*fd);
  auto image = OpenMonitorImage();
  ASSERT_TRUE(image.ok()) << image.status();
  image_ = std::move(*image);
  cgroup_ = std::make_unique<testing_support::ScratchCgroup>();
}

os::Reactor& MonitorTest::reactor() {
  if (reactor_ == nullptr) reactor_ = os::Reactor::Create().value();
  return *reactor_;
}

void MonitorTest::TearDown() {
  if (client_ != nullptr) {
    const absl::Status status = client_->Shutdown(Soon());
    EXPECT_TRUE(status.ok()) << status;
    client_.reset();
  }
  // The reactor reaps what it has spawned.
  EXPECT_TRUE(Eventually([] {
    siginfo_t info = {};
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 &&
           errno == ECHILD;
  }));
  reactor_.reset();
  cgroup_.reset();
  sandbox_ = Sandbox();
  image_.Reset();
  pod_dir_fd_.Reset();
  EXPECT_TRUE(os::RemoveTreeAt(AT_FDCWD, dir_).ok());
  invariant_.reset();
}

void MonitorTest::StartPod() {
  SandboxRequest request;
  request.new_network = false;
  request.new_ipc = false;
  request.new_uts = false;
  StartPod(request);
}

void MonitorTest::StartMonitor() {
  MonitorClient::SpawnOptions options;
  options.pod_id = "pod";
  options.pod_dir_fd = pod_dir_fd_.get();
  options.pod_dir = pod_dir_;
  options.image_fd = image_.get();
  auto client =
      MonitorClient::Spawn(options, reactor(), events_.MakeCallbacks());
  ASSERT_TRUE(client.ok()) << client.status();
  client_ = std::move(*client);
}

void MonitorTest::StartPod(const SandboxRequest& request) {
  StartMonitor();
  ASSERT_NE(client_, nullptr);
  auto sandbox = client_->SetUpSandbox(request, Soon());
  ASSERT_TRUE(sandbox.ok()) << sandbox.status();
  sandbox_ = std::move(*sandbox);
}

launch::LaunchSpec MonitorTest::Shell(const std::string& script,
                                      const plan::RootfsOptions& options) {
  const std::string name = "containers/" + std::to_string(++roots_);
  EXPECT_TRUE(os::MakeDirs(dir_ + "/" + name + "/upper", 0755).ok());
  EXPECT_TRUE(os::MakeDirs(dir_ + "/" + name + "/work", 0700).ok());
  launch::LaunchSpec spec;
  spec.argv = {"sh", "-c", script};
  spec.env = {"PATH=/bin"};
  spec.rootfs.base_dir = dir_;
  spec.rootfs.lowers = {"layers/1"};
  spec.rootfs.upper = name + "/upper";
  spec.rootfs.work = name + "/work";
  spec.capabilities = {kCapabilities, kCapabilities, kCapabilities, 0};
  plan::AddRootfsDefaults(options, spec);
  spec.devices = {{"/dev/null", 'c', 1, 3, 0666, 0, 0},
                  {"/dev/zero", 'c', 1, 5, 0666, 0, 0}};
  return spec;
}

launch::LaunchSpec MonitorTest::ExecIn(const Started& container,
                                       const std::string& script) {
  launch::LaunchSpec spec;
  spec.kind = launch::Kind::kExec;
  spec.pid_namespace = launch::PidNamespace::kTarget;
  spec.target_pid = container.pid;
  spec.target_start_ticks = container.start_ticks;
  spec.argv = {"sh", "-c", script};
  spec.env = {"PATH=/bin"};
  spec.capabilities = {kCapabilities, kCapabilities, kCapabilities, 0};
  return spec;
}

os::UniqueFd MonitorTest::Leaf(const std::string& id) {
  const std::string path = cgroup_->path() + "/" + id;
  if (!cgroup_->Exists(path)) cgroup_->MakeDir(path);
  return cgroup_->Open(path);
}

StartRequest MonitorTest::Request(const std::string& id,
                                  const std::string& script) {
  StartRequest request;
  request.container_id = id;
  request.plan = launch::EncodePlan(Shell(script));
  request.log_path = LogPath(id);
  return request;
}

Started MonitorTest::Run(const std::string& id, const std::string& script) {
  StartRequest request = Request(id, script);
  const os::UniqueFd leaf = Leaf(id);
  request.cgroup_fd = leaf.get();
  auto started = client_->Start(request, Soon());
  EXPECT_TRUE(started.ok()) << started.status();
  return std::move(started).value_or(Started());
}

launch::LaunchSpec MonitorTest::GatedShell(const std::string& script) {
  EXPECT_TRUE(os::MakeDirs(dir_ + "/gate", 0755).ok());
  launch::LaunchSpec spec = Shell(script);
  launch::BindMount gate;
  gate.source = dir_ + "/gate";
  gate.target = "/gate";
  gate.readonly = true;
  spec.mounts.push_back(gate);
  return spec;
}

void MonitorTest::RunGated(const std::string& id, const std::string& before,
                           const std::string& after) {
  const launch::LaunchSpec spec = GatedShell(before + kWaitForGate + after);
  StartRequest request = Request(id, "");
  request.plan = launch::EncodePlan(spec);
  const os::UniqueFd leaf = Leaf(id);
  request.cgroup_fd = leaf.get();
  const auto started = client_->Start(request, Soon());
  EXPECT_TRUE(started.ok()) << started.status();
}

void MonitorTest::OpenGate() {
  EXPECT_TRUE(os::ReplaceFileAt(AT_FDCWD, dir_ + "/gate/open", "", 0644).ok());
}

std::vector<MonitorTest::Line> MonitorTest::Log(const std::string& id) const {
  absl::StatusOr<std::string> text;
  // The end of a line that is just being written may be missing.
  (void)Eventually([&] {
    text = os::ReadFileAt(AT_FDCWD, LogPath(id), size_t{256} << 20);
    return !text.ok() || text->empty() || text->back() == '\n';
  });
  EXPECT_TRUE(text.ok()) << text.status();
  std::vector<Line> lines;
  std::istringstream input(text.value_or(""));
  std::string line;
  while (std::getline(input, line)) {
    // 2026-11-21T21:07:16.123456789Z stdout F text
    const bool valid = line.size() >= 40 && line[10] == 'T' &&
                       line[29] == 'Z' && line[30] == ' ' && line[37] == ' ' &&
                       (line[38] == 'F' || line[38] == 'P') && line[39] == ' ';
    EXPECT_TRUE(valid) << "not a log line: " << line.substr(0, 200);
    if (valid) lines.push_back({line.substr(31, 6), line[38], line.substr(40)});
  }
  return lines;
}

std::string MonitorTest::Text(const std::string& id,
                              const std::string& stream) const {
  std::string text;
  for (const Line& line : Log(id)) {
    if (line.stream != stream) continue;
    text += line.text;
    if (line.tag == 'F') text += '\n';
  }
  return text;
}

std::unique_ptr<MonitorClient> MonitorTest::Reconnect(
    Events& events, std::vector<ContainerReport>* containers) {
  auto client = MonitorClient::Reconnect("pod", pod_dir_fd_.get(), reactor(),
                                         events.MakeCallbacks(), containers);
  EXPECT_TRUE(client.ok()) << client.status();
  return client.ok() ? std::move(*client) : nullptr;
}

size_t MonitorTest::OpenFds(pid_t pid) {
  const auto names =
      os::ListDirAt(AT_FDCWD, "/proc/" + std::to_string(pid) + "/fd");
  if (names.ok() && !names->empty()) return names->size();
  // Gone, or a zombie. Said once, however often it is looked at.
  if (!HasFailure()) ADD_FAILURE() << "process " << pid << " has ended";
  return SIZE_MAX;
}

size_t MonitorTest::RestingFds() {
  EXPECT_TRUE(client_->Forget("none", Soon()).ok());
  return OpenFds(client_->pid());
}

int64_t MonitorTest::MemoryKib(pid_t pid, const std::string& key) {
  const auto text = os::ReadFileAt(
      AT_FDCWD, "/proc/" + std::to_string(pid) + "/smaps_rollup");
  std::istringstream input(text.value_or(""));
  std::string line;
  while (std::getline(input, line)) {
    if (line.rfind(key + ":", 0) == 0) {
      return std::stoll(line.substr(key.size() + 1));
    }
  }
  ADD_FAILURE() << "no " << key << " of process " << pid;
  return 0;
}

}  // namespace pinion::monitor
