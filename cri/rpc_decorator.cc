#include "cri/rpc_decorator.h"

#include <cstdio>
#include <exception>
#include <mutex>
#include <string>

#include "absl/strings/str_cat.h"

namespace pinion::cri {
namespace {

// gRPC refuses trailers of more than 8 KiB, and percent-encodes the message.
constexpr size_t kMaxMessage = 2048;

struct MethodName {
  std::string_view name;
  bool mutating;
};

// ExecSync changes nothing of ours and comes with every probe.
constexpr MethodName kMethods[] = {
    {"Version", false},
    {"RunPodSandbox", true},
    {"StopPodSandbox", true},
    {"RemovePodSandbox", true},
    {"PodSandboxStatus", false},
    {"ListPodSandbox", false},
    {"StreamPodSandboxes", false},
    {"CreateContainer", true},
    {"StartContainer", true},
    {"StopContainer", true},
    {"RemoveContainer", true},
    {"ListContainers", false},
    {"StreamContainers", false},
    {"ContainerStatus", false},
    {"UpdateContainerResources", true},
    {"ReopenContainerLog", true},
    {"ExecSync", false},
    {"Exec", false},
    {"Attach", false},
    {"PortForward", false},
    {"ContainerStats", false},
    {"ListContainerStats", false},
    {"StreamContainerStats", false},
    {"PodSandboxStats", false},
    {"ListPodSandboxStats", false},
    {"StreamPodSandboxStats", false},
    {"UpdateRuntimeConfig", true},
    {"Status", false},
    {"CheckpointContainer", true},
    {"GetContainerEvents", false},
    {"ListMetricDescriptors", false},
    {"ListPodSandboxMetrics", false},
    {"StreamPodSandboxMetrics", false},
    {"RuntimeConfig", false},
    {"UpdatePodSandboxResources", true},
    {"ListImages", false},
    {"StreamImages", false},
    {"ImageStatus", false},
    {"PullImage", true},
    {"RemoveImage", true},
    {"ImageFsInfo", false},
    {"ImportImage", true},
    {"PodTimeline", false},
    {"PodUsage", false},
    {"Cpus", false},
    {"PodNetwork", false},
};

std::string Milliseconds(double seconds) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.3f", seconds * 1e3);
  return text;
}

// What the client may see of `status`.
absl::Status ForClient(const absl::Status& status) {
  if (status.ok()) return status;
  const bool unknown = status.code() == absl::StatusCode::kUnknown;
  if (!unknown && status.message().size() <= kMaxMessage) return status;
  std::string message(status.message());
  if (message.size() > kMaxMessage) {
    // Not in the middle of a character of UTF-8: its later bytes are 10xxxxxx.
    size_t end = kMaxMessage;
    while (end > 0 && (message[end] & 0xC0) == 0x80) --end;
    message.resize(end);
    absl::StrAppend(&message, "...");
  }
  return absl::Status(unknown ? absl::StatusCode::kInternal : status.code(),
                      message);
}

absl::Status Guarded(absl::FunctionRef<absl::Status()> call) {
  try {
    return call();
  } catch (const std::exception& e) {
    return absl::InternalError(
        absl::StrCat("unexpected exception: ", e.what()));
  }
}

}  // namespace

struct RpcDecorator::Method {
  explicit Method(const MethodName& m) : name(m.name), mutating(m.mutating) {}

  const std::string name;
  const bool mutating;
  // Instruments are made with the first call, so that a scrape holds no row
  // for what nobody asks.
  std::once_flag made;
  metrics::Counter* requests = nullptr;
  metrics::Histogram* duration = nullptr;
};

RpcDecorator::RpcDecorator(metrics::Registry& metrics, const Clock& clock)
    : metrics_(metrics),
      clock_(clock),
      in_flight_(metrics.AddGauge("pinion_cri_rpc_in_flight",
                                  "CRI calls under way.")) {
  for (const MethodName& method : kMethods) {
    methods_.emplace(method.name, std::make_unique<Method>(method));
  }
}

RpcDecorator::~RpcDecorator() = default;

void RpcDecorator::CountCalls(int by) {
  in_flight_.Add(by);
  const std::lock_guard<std::mutex> lock(mutex_);
  calls_ += by;
  if (calls_ == 0) idle_.notify_all();
}

bool RpcDecorator::AwaitIdle(std::chrono::milliseconds timeout) {
  std::unique_lock<std::mutex> lock(mutex_);
  return idle_.wait_for(lock, timeout, [this] { return calls_ == 0; });
}

RpcDecorator::Method& RpcDecorator::Find(std::string_view name) {
  Method& method = *methods_.at(name);
  std::call_once(method.made, [this, &method] {
    const metrics::Labels labels = {{"method", method.name}};
    method.requests = &metrics_.AddCounter("pinion_cri_rpc_requests_total",
                                           "CRI calls answered.", labels);
    method.duration =
        &metrics_.AddHistogram("pinion_cri_rpc_duration_seconds",
                               "Time from a CRI call to its answer.",
                               metrics::LatencyBuckets(), labels);
  });
  return method;
}

absl::Status RpcDecorator::Run(std::string_view name,
                               absl::FunctionRef<absl::Status()> call,
                               Describe describe) {
  Method& method = Find(name);
  CountCalls(1);
  const Stopwatch watch(clock_);
  const absl::Status status = ForClient(Guarded(call));
  const double seconds = watch.Seconds();
  CountCalls(-1);
  Ended(method, status, seconds, describe);
  return status;
}

void RpcDecorator::Ended(Method& method, const absl::Status& status,
                         double seconds, Describe describe) {
  method.requests->Increment();
  method.duration->Observe(seconds);
  if (!status.ok()) {
    metrics_
        .AddCounter("pinion_cri_rpc_errors_total", "CRI calls that failed.",
                    {{"method", method.name},
                     {"code", absl::StatusCodeToString(status.code())}})
        .Increment();
  }
  LogCall(method, status, seconds, describe);
}

std::unique_ptr<RpcDecorator::OpenCall> RpcDecorator::Open(
    std::string_view method) {
  return std::unique_ptr<OpenCall>(new OpenCall(*this, Find(method)));
}

RpcDecorator::OpenCall::OpenCall(RpcDecorator& decorator, Method& method)
    : decorator_(decorator), method_(method), watch_(decorator.clock_) {
  decorator_.in_flight_.Add(1);
}

RpcDecorator::OpenCall::~OpenCall() { decorator_.in_flight_.Add(-1); }

void RpcDecorator::OpenCall::End(const absl::Status& status) {
  decorator_.Ended(method_, status, watch_.Seconds(),
                   [](std::vector<LogField>&) {});
}

void RpcDecorator::LogCall(const Method& method, const absl::Status& status,
                           double seconds, Describe describe) {
  LogLevel level = method.mutating ? LogLevel::kInfo : LogLevel::kDebug;
  if (status.code() == absl::StatusCode::kInternal) {
    level = LogLevel::kError;
  } else if (!status.ok() && method.mutating) {
    level = LogLevel::kWarning;
  }
  if (!IsLogged(level)) return;
  std::vector<LogField> fields;
  fields.emplace_back("method", method.name);
  describe(fields);
  fields.emplace_back("ms", Milliseconds(seconds));
  fields.emplace_back("code", absl::StatusCodeToString(status.code()));
  if (!status.ok()) {
    fields.emplace_back("error", std::string(status.message()));
  }
  Log(level, "rpc", fields);
}

}  // namespace pinion::cri
