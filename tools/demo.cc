#include "tools/demo.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <set>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/status_macros.h"
#include "os/file.h"
#include "runtime/v1/api.pb.h"
#include "tools/commands.h"
#include "tools/cri_client.h"
#include "tools/demo_bed.h"
#include "tools/http_get.h"
#include "tools/leftovers.h"
#include "tools/terminal.h"

namespace pinion::tools {
namespace {

namespace cri = ::runtime::v1;
using Text = absl::StatusOr<std::string>;

constexpr char kKitImage[] = "registry.k8s.io/e2e-test-images/nginx:1.14-2";
constexpr uint16_t kKitPort = 80;
constexpr int kMorePods = 10;

volatile sig_atomic_t interrupted = 0;

void NoteInterrupt(int /*signal*/) {
  constexpr char kText[] = "\ninterrupted: ending what was started\n";
  interrupted = 1;
  (void)!write(STDERR_FILENO, kText, sizeof(kText) - 1);
}

// The first Ctrl-C ends the demo after its current step, with everything
// removed; the second one at once.
void CatchInterrupts() {
  struct sigaction action = {};
  action.sa_handler = NoteInterrupt;
  action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    sigaction(signal, &action, nullptr);
  }
}

class Demo {
 public:
  Demo(const CommandLine& line, const Terminal& terminal)
      : terminal_(terminal),
        own_image_(line.image.empty()),
        image_(own_image_ ? kKitImage : line.image),
        bed_(line.keep) {}

  absl::Status Run();
  std::string DaemonLogTail() const { return bed_.DaemonLogTail(); }

 private:
  absl::Status Step(const std::string& title,
                    const std::function<Text()>& work);
  void Show(const std::string& text) const;

  absl::Status SetUp();
  absl::Status RunOnePod();
  absl::Status TalkToIt();
  absl::Status LookInside();
  absl::Status RunMorePods();
  absl::Status CleanUp();

  Text Status();
  Text Pull();
  Text RunPod();
  Text CreateContainer();
  Text StartContainer();
  Text PodAddress();
  Text HostReachesPod();
  Text PodReachesHost();
  Text Exec();
  Text ReadLog();
  Text Metrics();
  Text OnePodAfterAnother();
  Text StopAndRemove();
  Text RemoveImage();
  Text NothingLeft();

  absl::StatusOr<cri::ExecSyncResponse> ExecIn(
      const std::vector<std::string>& command);
  cri::PodSandboxConfig PodConfig(const std::string& name) const;
  cri::ContainerConfig ContainerConfig(const std::string& name) const;
  absl::Status RemovePod(const std::string& id);
  Census CountNow() const;

  const Terminal terminal_;
  const bool own_image_;
  const std::string image_;
  DemoBed bed_;
  std::unique_ptr<CriClient> client_;
  Census before_;
  std::string image_id_;
  std::string pod_;
  std::string container_;
  std::string pod_ip_;
};

absl::Status Demo::Step(const std::string& title,
                        const std::function<Text()>& work) {
  if (interrupted != 0) return absl::CancelledError("interrupted");
  std::printf("  %s ", PadRight(title, 24).c_str());
  std::fflush(stdout);
  const Stopwatch watch;
  const Text text = work();
  const std::string time = terminal_.Paint(
      Style::kDim, PadLeft(FormatDuration(watch.Elapsed().count()), 9));
  if (!text.ok()) {
    std::printf("%s %s\n", terminal_.Paint(Style::kRed, "✗").c_str(),
                time.c_str());
    return Annotate(text.status(), title);
  }
  std::printf("%s %s  %s\n", terminal_.Paint(Style::kGreen, "✓").c_str(),
              time.c_str(), text->c_str());
  std::fflush(stdout);
  return absl::OkStatus();
}

void Demo::Show(const std::string& text) const {
  const std::vector<std::string> lines =
      absl::StrSplit(absl::StripTrailingAsciiWhitespace(text), '\n');
  for (const std::string& line : lines) {
    std::printf("      %s\n", line.c_str());
  }
}

cri::PodSandboxConfig Demo::PodConfig(const std::string& name) const {
  cri::PodSandboxConfig config;
  config.mutable_metadata()->set_name(name);
  config.mutable_metadata()->set_namespace_("demo");
  config.mutable_metadata()->set_uid(absl::StrCat(name, "-uid"));
  config.set_hostname(name);
  config.set_log_directory(bed_.log_directory());
  auto* linux_config = config.mutable_linux();
  linux_config->set_cgroup_parent(bed_.cgroup_parent());
  linux_config->mutable_security_context()
      ->mutable_namespace_options()
      ->set_pid(cri::CONTAINER);
  return config;
}

cri::ContainerConfig Demo::ContainerConfig(const std::string& name) const {
  cri::ContainerConfig config;
  config.mutable_metadata()->set_name(name);
  config.mutable_image()->set_image(image_);
  config.set_log_path(absl::StrCat(name, ".log"));
  auto* security = config.mutable_linux()->mutable_security_context();
  security->mutable_namespace_options()->set_pid(cri::CONTAINER);
  security->mutable_seccomp()->set_profile_type(
      cri::SecurityProfile::RuntimeDefault);
  if (bed_.limits_work()) {
    auto* resources = config.mutable_linux()->mutable_resources();
    resources->set_memory_limit_in_bytes(64 << 20);
    resources->set_cpu_period(100'000);
    resources->set_cpu_quota(50'000);
  }
  return config;
}

Census Demo::CountNow() const {
  Places places;
  places.root = absl::StrCat(bed_.scratch(), "/root");
  places.state = absl::StrCat(bed_.scratch(), "/state");
  places.cgroup_directory =
      bed_.cgroup_directory().empty()
          ? absl::StrCat(bed_.cgroup_root(), "/", bed_.cgroup_parent())
          : bed_.cgroup_directory();
  return Count(places);
}

Text Demo::Status() {
  cri::VersionResponse version;
  PINION_RETURN_IF_ERROR(client_->Call(cri::VersionRequest(), &version));
  cri::StatusResponse status;
  PINION_RETURN_IF_ERROR(client_->Call(cri::StatusRequest(), &status));
  std::vector<std::string> ready;
  for (const auto& condition : status.status().conditions()) {
    if (!condition.status()) {
      return absl::FailedPreconditionError(
          absl::StrCat(condition.type(), " is false: ", condition.message()));
    }
    ready.push_back(condition.type());
  }
  return absl::StrCat(version.runtime_name(), " ", version.runtime_version(),
                      ", CRI ", version.runtime_api_version(), ", ",
                      absl::StrJoin(ready, ", "));
}

Text Demo::Pull() {
  cri::PullImageRequest request;
  request.mutable_image()->set_image(image_);
  cri::PullImageResponse response;
  PINION_RETURN_IF_ERROR(
      client_->Call(request, &response, std::chrono::minutes(10)));
  image_id_ = response.image_ref();
  cri::ImageStatusRequest status;
  status.mutable_image()->set_image(image_);
  cri::ImageStatusResponse found;
  PINION_RETURN_IF_ERROR(client_->Call(status, &found));
  if (found.image().id().empty()) {
    return absl::NotFoundError("ImageStatus does not know what was pulled");
  }
  return absl::StrCat(image_, ", ", FormatBytes(found.image().size()));
}

Text Demo::RunPod() {
  cri::RunPodSandboxRequest request;
  *request.mutable_config() = PodConfig("web");
  cri::RunPodSandboxResponse response;
  PINION_RETURN_IF_ERROR(client_->Call(request, &response));
  pod_ = response.pod_sandbox_id();
  return absl::StrCat("pod ", ShortId(pod_));
}

Text Demo::CreateContainer() {
  cri::CreateContainerRequest request;
  request.set_pod_sandbox_id(pod_);
  *request.mutable_config() = ContainerConfig("server");
  *request.mutable_sandbox_config() = PodConfig("web");
  cri::CreateContainerResponse response;
  PINION_RETURN_IF_ERROR(client_->Call(request, &response));
  container_ = response.container_id();
  return absl::StrCat("container ", ShortId(container_),
                      bed_.limits_work() ? ", 64 MiB, half a CPU" : "");
}

Text Demo::StartContainer() {
  cri::StartContainerRequest request;
  request.set_container_id(container_);
  cri::StartContainerResponse response;
  PINION_RETURN_IF_ERROR(client_->Call(request, &response));
  cri::ContainerStatusRequest ask;
  ask.set_container_id(container_);
  cri::ContainerStatusResponse status;
  PINION_RETURN_IF_ERROR(client_->Call(ask, &status));
  if (status.status().state() != cri::CONTAINER_RUNNING) {
    return absl::FailedPreconditionError(
        absl::StrCat("it is not running: ", status.status().reason(), " ",
                     status.status().message()));
  }
  return std::string("running");
}

Text Demo::PodAddress() {
  cri::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(pod_);
  cri::PodSandboxStatusResponse response;
  PINION_RETURN_IF_ERROR(client_->Call(request, &response));
  pod_ip_ = response.status().network().ip();
  if (pod_ip_.empty()) return absl::NotFoundError("the pod has no address");
  return absl::StrCat(pod_ip_, " on a macvlan of its own");
}

Text Demo::HostReachesPod() {
  // The server needs a moment to listen; nothing tells of it but asking.
  absl::Status last;
  for (int attempt = 0; attempt < 100; ++attempt) {
    const Text page = HttpGet(pod_ip_, kKitPort, "/", std::chrono::seconds(5));
    if (page.ok()) {
      return absl::StrCat("http://", pod_ip_, "/ answers ", page->size(),
                          " bytes");
    }
    last = page.status();
    poll(nullptr, 0, 20);
  }
  return last;
}

absl::StatusOr<cri::ExecSyncResponse> Demo::ExecIn(
    const std::vector<std::string>& command) {
  cri::ExecSyncRequest request;
  request.set_container_id(container_);
  for (const std::string& word : command) request.add_cmd(word);
  request.set_timeout(10);
  cri::ExecSyncResponse response;
  PINION_RETURN_IF_ERROR(client_->Call(request, &response));
  if (response.exit_code() != 0) {
    return absl::InternalError(
        absl::StrCat("exit code ", response.exit_code(), ": ",
                     absl::StripAsciiWhitespace(response.stderr())));
  }
  return response;
}

Text Demo::PodReachesHost() {
  // The host's own address is where its route to the pod leaves from.
  PINION_ASSIGN_OR_RETURN(
      const auto response,
      ExecIn(
          {"sh", "-c",
           "host=$(ip route | sed -n 's/^default via \\([0-9.]*\\).*/\\1/p');"
           " [ -n \"$host\" ] || exit 3; ping -c 1 -W 5 \"$host\" "
           ">/dev/null && echo \"$host\""}));
  return absl::StrCat(
      "ping ", std::string(absl::StripAsciiWhitespace(response.stdout())));
}

Text Demo::Exec() {
  PINION_ASSIGN_OR_RETURN(
      const auto response,
      ExecIn({"sh", "-c", "hostname; cat /proc/1/comm; id -u"}));
  std::vector<std::string> words =
      absl::StrSplit(response.stdout(), '\n', absl::SkipWhitespace());
  if (words.size() != 3 || words[0] != "web") {
    return absl::InternalError(
        absl::StrCat("unexpected output: ", response.stdout()));
  }
  return absl::StrCat("hostname ", words[0], ", PID 1 is ", words[1], ", uid ",
                      words[2]);
}

Text Demo::ReadLog() {
  const std::string path = absl::StrCat(bed_.log_directory(), "/server.log");
  for (int attempt = 0; attempt < 100; ++attempt) {
    const auto text = os::ReadFileAt(AT_FDCWD, path);
    const size_t at = text.ok() ? text->find(" stderr F nginx: 200") : 0;
    if (text.ok() && at != std::string::npos) {
      const size_t start = text->rfind('\n', at) + 1;
      return text->substr(start, text->find('\n', at) - start);
    }
    poll(nullptr, 0, 20);
  }
  return absl::NotFoundError(
      absl::StrCat(path, " does not have the container's line"));
}

Text Demo::Metrics() {
  return HttpGet("127.0.0.1", bed_.metrics_port(), "/metrics",
                 std::chrono::seconds(5));
}

absl::Status Demo::RemovePod(const std::string& id) {
  cri::StopPodSandboxRequest stop;
  stop.set_pod_sandbox_id(id);
  cri::StopPodSandboxResponse stopped;
  PINION_RETURN_IF_ERROR(client_->Call(stop, &stopped));
  cri::RemovePodSandboxRequest remove;
  remove.set_pod_sandbox_id(id);
  cri::RemovePodSandboxResponse removed;
  return client_->Call(remove, &removed);
}

Text Demo::OnePodAfterAnother() {
  std::vector<int64_t> times;
  for (int i = 0; i < kMorePods; ++i) {
    const std::string name = absl::StrCat("more-", i);
    const Stopwatch watch;
    cri::RunPodSandboxRequest run;
    *run.mutable_config() = PodConfig(name);
    cri::RunPodSandboxResponse pod;
    PINION_RETURN_IF_ERROR(client_->Call(run, &pod));
    cri::CreateContainerRequest create;
    create.set_pod_sandbox_id(pod.pod_sandbox_id());
    *create.mutable_config() = ContainerConfig(name);
    *create.mutable_sandbox_config() = run.config();
    cri::CreateContainerResponse container;
    PINION_RETURN_IF_ERROR(client_->Call(create, &container));
    cri::StartContainerRequest start;
    start.set_container_id(container.container_id());
    cri::StartContainerResponse started;
    PINION_RETURN_IF_ERROR(client_->Call(start, &started));
    times.push_back(watch.Elapsed().count());
    PINION_RETURN_IF_ERROR(RemovePod(pod.pod_sandbox_id()));
  }
  std::sort(times.begin(), times.end());
  return absl::StrCat(kMorePods, " pods, the three RPCs: median ",
                      FormatDuration(times[times.size() / 2]), ", slowest ",
                      FormatDuration(times.back()));
}

Text Demo::StopAndRemove() {
  PINION_RETURN_IF_ERROR(RemovePod(pod_));
  // Both are idempotent, as the kubelet expects.
  PINION_RETURN_IF_ERROR_AS(RemovePod(pod_), "once more");
  cri::ListContainersResponse containers;
  PINION_RETURN_IF_ERROR(
      client_->Call(cri::ListContainersRequest(), &containers));
  cri::ListPodSandboxResponse pods;
  PINION_RETURN_IF_ERROR(client_->Call(cri::ListPodSandboxRequest(), &pods));
  if (containers.containers_size() + pods.items_size() != 0) {
    return absl::InternalError("the lists are not empty");
  }
  return std::string("pod and container");
}

Text Demo::RemoveImage() {
  cri::RemoveImageRequest request;
  request.mutable_image()->set_image(image_);
  cri::RemoveImageResponse response;
  PINION_RETURN_IF_ERROR(client_->Call(request, &response));
  return image_id_.substr(0, 19);
}

Text Demo::NothingLeft() {
  // The kernel frees namespaces, and with them links, a moment after their
  // last user.
  std::vector<std::string> left;
  for (int attempt = 0; attempt < 100; ++attempt) {
    left = Leftovers(before_, CountNow());
    if (left.empty()) {
      std::vector<std::string> kinds;
      for (const auto& [kind, count] : before_) kinds.push_back(kind);
      return absl::StrCat("as before: ", absl::StrJoin(kinds, ", "));
    }
    poll(nullptr, 0, 100);
  }
  return absl::InternalError(absl::StrCat("left: ", absl::StrJoin(left, "; ")));
}

absl::Status Demo::SetUp() {
  PINION_RETURN_IF_ERROR(Step("scratch", [&] { return bed_.Prepare(); }));
  if (own_image_) {
    PINION_RETURN_IF_ERROR(
        Step("registry", [&] { return bed_.StartRegistry(); }));
  }
  PINION_RETURN_IF_ERROR(Step("piniond", [&] { return bed_.StartDaemon(); }));
  client_ = std::make_unique<CriClient>(bed_.socket());
  PINION_RETURN_IF_ERROR(client_->AwaitReady(std::chrono::seconds(20)));
  PINION_RETURN_IF_ERROR(Step("Version, Status", [&] { return Status(); }));
  before_ = CountNow();
  return Step("PullImage", [&] { return Pull(); });
}

absl::Status Demo::RunOnePod() {
  PINION_RETURN_IF_ERROR(Step("RunPodSandbox", [&] { return RunPod(); }));
  PINION_RETURN_IF_ERROR(
      Step("CreateContainer", [&] { return CreateContainer(); }));
  PINION_RETURN_IF_ERROR(
      Step("StartContainer", [&] { return StartContainer(); }));
  return Step("PodSandboxStatus", [&] { return PodAddress(); });
}

absl::Status Demo::TalkToIt() {
  // What an image from elsewhere serves is not known.
  if (!own_image_) return absl::OkStatus();
  PINION_RETURN_IF_ERROR(
      Step("the host reaches the pod", [&] { return HostReachesPod(); }));
  PINION_RETURN_IF_ERROR(
      Step("the pod reaches the host", [&] { return PodReachesHost(); }));
  PINION_RETURN_IF_ERROR(Step("ExecSync", [&] { return Exec(); }));
  return Step("its log", [&] { return ReadLog(); });
}

absl::Status Demo::LookInside() {
  Timeline timeline;
  PINION_RETURN_IF_ERROR(Step("pinionctl timeline", [&]() -> Text {
    PINION_ASSIGN_OR_RETURN(timeline, FetchTimeline(bed_.socket(), pod_));
    if (timeline.phases.empty()) {
      return absl::InternalError("no phases were recorded");
    }
    return absl::StrCat(timeline.phases.size(), " phases");
  }));
  Terminal narrower = terminal_;
  narrower.width -= 6;
  Show(RenderTimeline(timeline, narrower));
  std::string metrics;
  PINION_RETURN_IF_ERROR(Step("metrics", [&]() -> Text {
    PINION_ASSIGN_OR_RETURN(metrics, Metrics());
    const auto lines = std::count(metrics.begin(), metrics.end(), '\n');
    return absl::StrCat(lines,
                        " lines at http://127.0.0.1:", bed_.metrics_port(),
                        "/metrics, such as");
  }));
  // One line of each family, but no bucket and nothing that is still zero.
  std::set<std::string> shown;
  const std::vector<std::string> lines = absl::StrSplit(metrics, '\n');
  for (const std::string& line : lines) {
    const std::string name = line.substr(0, line.find_first_of("{ "));
    if (absl::StartsWith(name, "pinion_") && !absl::EndsWith(line, " 0") &&
        !absl::EndsWith(name, "_bucket") && !absl::EndsWith(name, "_sum") &&
        shown.insert(name).second) {
      Show(line);
    }
  }
  return absl::OkStatus();
}

absl::Status Demo::RunMorePods() {
  return Step("one after another", [&] { return OnePodAfterAnother(); });
}

absl::Status Demo::CleanUp() {
  PINION_RETURN_IF_ERROR(Step("Stop, Remove", [&] { return StopAndRemove(); }));
  PINION_RETURN_IF_ERROR(Step("RemoveImage", [&] { return RemoveImage(); }));
  PINION_RETURN_IF_ERROR(
      Step("nothing is left", [&] { return NothingLeft(); }));
  // A connection that nobody reads from would hold up the server's farewell.
  client_.reset();
  return Step("SIGTERM to piniond", [&] { return bed_.StopDaemon(); });
}

absl::Status Demo::Run() {
  std::printf("%s\n\n",
              terminal_
                  .Paint(Style::kBold,
                         "pinion: a real image, in a real pod, from nothing")
                  .c_str());
  PINION_RETURN_IF_ERROR(SetUp());
  PINION_RETURN_IF_ERROR(RunOnePod());
  PINION_RETURN_IF_ERROR(TalkToIt());
  PINION_RETURN_IF_ERROR(LookInside());
  PINION_RETURN_IF_ERROR(RunMorePods());
  return CleanUp();
}

}  // namespace

absl::StatusOr<int> RunDemo(const CommandLine& line) {
  if (!line.arguments.empty()) {
    return absl::InvalidArgumentError("usage: pinionctl demo [--image REF]");
  }
  if (line.json) return absl::InvalidArgumentError("demo has no --json");
  CatchInterrupts();
  const Terminal terminal = Terminal::OfStdout();
  const Stopwatch watch;
  Demo demo(line, terminal);
  const absl::Status status = demo.Run();
  if (!status.ok()) {
    const std::string log =
        absl::IsCancelled(status) ? "" : demo.DaemonLogTail();
    if (!log.empty()) {
      std::printf("\nthe end of piniond's log:\n%s\n", log.c_str());
    }
    std::fflush(stdout);
    return status;
  }
  std::printf("\n%s in %s. Next: README.md, \"Use it\".\n",
              terminal.Paint(Style::kGreen, "All of it works,").c_str(),
              FormatDuration(watch.Elapsed().count()).c_str());
  return 0;
}

}  // namespace pinion::tools
