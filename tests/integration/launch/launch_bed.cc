#include "tests/integration/launch/launch_bed.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "os/detached_mount.h"
#include "os/file.h"
#include "runtime/launch/plan_writer.h"
#include "runtime/launch/process_start.h"
#include "runtime/plan/rootfs_defaults.h"

namespace pinion::launch {
namespace {

// The usual fourteen of container runtimes.
constexpr uint64_t kDefaultCapabilities = 0xa80425fb;

class OwnMountNamespace : public testing::Environment {
 public:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0u) << "needs root";
    ASSERT_EQ(unshare(CLONE_NEWNS), 0) << strerror(errno);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  }
};

[[maybe_unused]] testing::Environment* const environment =
    testing::AddGlobalTestEnvironment(new OwnMountNamespace);

std::string Slurp(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void MakeBusyboxLayer(const std::string& layer) {
  for (const char* name : {"/usr/bin", "/tmp", "/etc", "/root"}) {
    ASSERT_TRUE(os::MakeDirs(layer + name, 0755).ok());
  }
  ASSERT_EQ(chmod((layer + "/tmp").c_str(), 01777), 0);
  ASSERT_EQ(symlink("usr/bin", (layer + "/bin").c_str()), 0);
  // Its links say /usr/bin/busybox, which is right inside.
  const std::string bin = layer + "/usr/bin";
  const std::string install =
      "cp /usr/bin/busybox " + bin + " && /usr/bin/busybox --install -s " + bin;
  ASSERT_EQ(system(install.c_str()), 0);
}

}  // namespace

Process::Process(Launched launched, os::UniqueFd in, os::UniqueFd out,
                 os::UniqueFd err)
    : launched_(launched),
      in_(std::move(in)),
      out_(std::move(out)),
      err_(std::move(err)),
      report_(launched.report_fd),
      console_(launched.console_socket),
      pidfd_(launched.pidfd) {}

Process::~Process() {
  if (!pidfd_.valid() || reaped_) return;
  kill(launched_.pid, SIGKILL);
  waitpid(launched_.pid, nullptr, 0);
}

uint64_t Process::start_ticks() const {
  return ProcessStartTicks(launched_.pid);
}

bool Process::WaitExec(Failure* failure) {
  struct pollfd poll_fd = {report_.get(), POLLIN, 0};
  poll(&poll_fd, 1, -1);
  const ssize_t n = read(report_.get(), failure, sizeof(*failure));
  return n == 0;
}

std::string Process::ReadLine() {
  std::string line;
  char c;
  while (read(out_.get(), &c, 1) == 1 && c != '\n') line += c;
  return line;
}

void Process::Kill(int signal) { kill(launched_.pid, signal); }

Outcome Process::Finish() {
  Outcome outcome;
  in_.Reset();
  outcome.started = WaitExec(&outcome.failure);
  if (!outcome.started) outcome.step = StepName(outcome.failure.step);
  const size_t limit = size_t{64} << 20;
  if (out_.valid()) outcome.out = os::ReadFd(out_.get(), "out", limit).value();
  if (err_.valid()) outcome.err = os::ReadFd(err_.get(), "err", limit).value();
  int status = 0;
  EXPECT_EQ(waitpid(launched_.pid, &status, 0), launched_.pid);
  reaped_ = true;
  outcome.exit_code =
      WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

void LaunchTest::SetUp() {
  dir_ = "/tmp/pn-launch-" + std::to_string(getpid());
  ASSERT_TRUE(os::MakeDirs(dir_, 0755).ok());
  // Shared, as the root of a host with systemd is.
  ASSERT_EQ(mount(dir_.c_str(), dir_.c_str(), nullptr, MS_BIND, nullptr), 0);
  ASSERT_EQ(mount(nullptr, dir_.c_str(), nullptr, MS_SHARED, nullptr), 0);
  ASSERT_TRUE(os::MakeDirs(layer(), 0755).ok());
  MakeBusyboxLayer(layer());
  mountinfo_ = Slurp("/proc/self/mountinfo");
}

void LaunchTest::TearDown() {
  EXPECT_EQ(Slurp("/proc/self/mountinfo"), mountinfo_)
      << "a launch left a mount in the host's table";
  EXPECT_EQ(umount2(dir_.c_str(), MNT_DETACH), 0);
  EXPECT_TRUE(os::RemoveTreeAt(AT_FDCWD, dir_).ok());
}

LaunchSpec LaunchTest::Container(const std::vector<std::string>& argv) {
  const std::string name = "containers/" + std::to_string(++containers_);
  last_upper_ = name + "/upper";
  EXPECT_TRUE(os::MakeDirs(upper(), 0755).ok());
  EXPECT_TRUE(os::MakeDirs(dir_ + "/" + name + "/work", 0700).ok());
  LaunchSpec spec;
  spec.argv = argv;
  spec.env = {"PATH=/bin", "HOME=/root"};
  spec.rootfs.base_dir = dir_;
  spec.rootfs.lowers = {"layers/1"};
  spec.rootfs.upper = last_upper_;
  spec.rootfs.work = name + "/work";
  spec.capabilities = {kDefaultCapabilities, kDefaultCapabilities,
                       kDefaultCapabilities, 0};
  plan::AddRootfsDefaults({}, spec);
  spec.devices = {{"/dev/null", 'c', 1, 3, 0666, 0, 0},
                  {"/dev/zero", 'c', 1, 5, 0666, 0, 0},
                  {"/dev/tty", 'c', 5, 0, 0666, 0, 0}};
  spec.masked_paths = plan::DefaultMaskedPaths();
  spec.readonly_paths = plan::DefaultReadonlyPaths();
  return spec;
}

LaunchSpec LaunchTest::Shell(const std::string& script) {
  return Container({"sh", "-c", script});
}

LaunchSpec LaunchTest::ExecIn(const Process& container,
                              const std::vector<std::string>& argv) {
  LaunchSpec spec;
  spec.kind = Kind::kExec;
  spec.pid_namespace = PidNamespace::kTarget;
  spec.target_pid = container.pid();
  spec.target_start_ticks = container.start_ticks();
  spec.argv = argv;
  spec.env = {"PATH=/bin"};
  spec.capabilities = {kDefaultCapabilities, kDefaultCapabilities,
                       kDefaultCapabilities, 0};
  return spec;
}

bool LaunchTest::RootsAhead() {
  return getenv("PINION_ROOTS_AHEAD") != nullptr;
}

os::UniqueFd LaunchTest::MountAhead(const LaunchSpec& spec) {
  const Rootfs& rootfs = spec.rootfs;
  const bool images =
      std::any_of(spec.mounts.begin(), spec.mounts.end(),
                  [](const BindMount& m) { return !m.image_layers.empty(); });
  if (!RootsAhead() || spec.kind != Kind::kContainer || rootfs.upper.empty() ||
      spec.user_namespace.enabled || images) {
    return os::UniqueFd();
  }
  os::Overlay overlay;
  for (const std::string& lower : rootfs.lowers) {
    overlay.lowers.push_back(rootfs.base_dir + "/" + lower);
  }
  overlay.upper = rootfs.base_dir + "/" + rootfs.upper;
  overlay.work = rootfs.base_dir + "/" + rootfs.work;
  overlay.is_volatile = rootfs.is_volatile;
  auto mounted = os::MountOverlay(overlay);
  // What cannot be mounted ahead is the process's own to mount.
  return mounted.ok() ? *std::move(mounted) : os::UniqueFd();
}

Process LaunchTest::Start(const LaunchSpec& spec, LaunchFds fds) {
  const os::UniqueFd root = MountAhead(spec);
  os::UniqueFd mounts;
  if (root.valid()) {
    auto made = os::EmptyMountNamespace();
    EXPECT_TRUE(made.ok()) << made.status();
    if (made.ok()) mounts = *std::move(made);
    fds.root_fd = root.get();
    fds.mount_namespace_fd = mounts.get();
  }

  int in[2], out[2], err[2];
  EXPECT_EQ(pipe2(in, O_CLOEXEC), 0);
  EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
  EXPECT_EQ(pipe2(err, O_CLOEXEC), 0);
  os::UniqueFd child_in(in[0]), child_out(out[1]), child_err(err[1]);
  if (fds.stdin_fd == -1) fds.stdin_fd = in[0];
  if (fds.stdout_fd == -1) fds.stdout_fd = out[1];
  if (fds.stderr_fd == -1) fds.stderr_fd = err[1];
  const std::string plan = EncodePlan(spec);
  Launched launched;
  Failure failure;
  EXPECT_EQ(launch::Launch(plan.data(), plan.size(), fds, &launched, &failure),
            0)
      << StepName(failure.step) << " " << failure.object << ": "
      << strerror(failure.error);
  return Process(launched, os::UniqueFd(in[1]), os::UniqueFd(out[0]),
                 os::UniqueFd(err[0]));
}

Outcome LaunchTest::Run(const LaunchSpec& spec, LaunchFds fds) {
  Outcome outcome = Start(spec, fds).Finish();
  if (!outcome.started) {
    std::printf("  did not start: %s %s: %s\n", outcome.step.c_str(),
                outcome.failure.object, strerror(outcome.failure.error));
  }
  return outcome;
}

void LaunchTest::WriteFile(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

std::string LaunchTest::ReadFile(const std::string& path) {
  return Slurp(path);
}

}  // namespace pinion::launch
