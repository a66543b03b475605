// A request's way:
//
//            submit                reply: job            JobRemoved
//   queued ─────────▶ sent ──────────────────▶ job ───────────────▶ done
//     ▲                │ reply: UnitExists      │ silent for a while
//     │                ▼                        ▼
//     └──────────── looking (GetAll of the unit) ──▶ done, or job again
//   Every loss of the connection or of systemd: back to queued.
//   Past the deadline, from anywhere: done.

#include "os/sd_bus.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "os/error.h"
#include "os/unique_fd.h"
#include "os/unit_connection.h"
#include "os/unit_messages.h"
#include "os/unit_request.h"

namespace pinion::os {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr char kService[] = "org.freedesktop.systemd1";
constexpr char kManagerPath[] = "/org/freedesktop/systemd1";
constexpr char kManager[] = "org.freedesktop.systemd1.Manager";
constexpr milliseconds kLongestBackoff{1000};
// A unit that keeps failing is made anew this often.
constexpr int kMaxAttempts = 3;
// A job is looked at after this many intervals although others end.
constexpr int kBusyIntervals = 4;
// And so many of all jobs in one interval.
constexpr int kLooksPerInterval = 16;
constexpr size_t kMostAbandoned = 1024;

}  // namespace

UnitConnection::~UnitConnection() {
  {
    const absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  Wake();
  if (thread_.joinable()) thread_.join();
}

absl::Status UnitConnection::Start() {
  PINION_RETURN_IF_ERROR(Connect());
  thread_ = std::thread([this] { Loop(); });
  return absl::OkStatus();
}

absl::Status UnitConnection::Call(UnitMethod method, const std::string& name,
                                  const std::vector<UnitProperty>& properties,
                                  Deadline deadline) {
  const auto request = Send(method, name, properties, deadline, false);
  // Loop ends every request: by its result, its deadline, or its own end.
  request->done.WaitForNotification();
  return request->result;
}

std::shared_ptr<UnitRequest> UnitConnection::Send(
    UnitMethod method, const std::string& name,
    const std::vector<UnitProperty>& properties, Deadline deadline,
    bool detached) {
  auto request = std::make_shared<UnitRequest>();
  request->method = method;
  request->unit = name;
  request->properties = properties;
  request->deadline = deadline;
  request->connection = this;
  request->detached = detached;
  {
    const absl::MutexLock lock(&mutex_);
    incoming_.push_back(request);
  }
  Wake();
  return request;
}

void UnitConnection::Wake() {
  const uint64_t one = 1;
  (void)!write(wakeup_.get(), &one, sizeof(one));
}

void UnitConnection::TakeNew() {
  std::deque<std::shared_ptr<UnitRequest>> incoming;
  {
    const absl::MutexLock lock(&mutex_);
    incoming.swap(incoming_);
  }
  for (auto& request : incoming) {
    if (request->detached) MakeRoomFor(*request);
    active_.push_back(std::move(request));
  }
}

void UnitConnection::MakeRoomFor(const UnitRequest& detached) {
  size_t others = 0;
  std::shared_ptr<UnitRequest> oldest;
  for (const auto& request : active_) {
    if (!request->detached) continue;
    ++others;
    // They are looked after in turns, so that the first need not be the oldest.
    if (oldest == nullptr || request->deadline < oldest->deadline) {
      oldest = request;
    }
  }
  if (others < kMostAbandoned) return;
  Finish(*oldest, absl::ResourceExhaustedError(absl::StrCat(
                      Describe(*oldest), ": ", kMostAbandoned,
                      " others wait for systemd, the last ", detached.unit)));
}

absl::Status UnitConnection::Connect() {
  absl::Status last = absl::UnavailableError("no address of systemd is given");
  for (const Address& address : options_.addresses) {
    last = ConnectTo(address);
    if (!last.ok()) continue;
    ++connections_;
    return last;
  }
  return last;
}

absl::Status UnitConnection::ConnectTo(const Address& address) {
  const auto failed = [&address](int r, const char* what) {
    return absl::UnavailableError(absl::StrCat(
        "connect to ", address.address, ": ", what, ": ", ErrnoName(-r)));
  };
  sd_bus* raw = nullptr;
  int r = sd_bus_new(&raw);
  if (r < 0) return failed(r, "sd_bus_new");
  SdBus bus(raw);
  r = sd_bus_set_address(raw, address.address.c_str());
  if (r < 0) return failed(r, "sd_bus_set_address");
  if (address.is_bus) {
    r = sd_bus_set_bus_client(raw, 1);
    if (r < 0) return failed(r, "sd_bus_set_bus_client");
  }
  r = sd_bus_start(raw);
  if (r < 0) return failed(r, "sd_bus_start");
  r = Subscribe(raw, address.is_bus);
  if (r < 0) return failed(r, "subscribe");
  bus_ = std::move(bus);
  return absl::OkStatus();
}

int UnitConnection::Subscribe(sd_bus* bus, bool is_bus) {
  // All of it is queued behind the handshake, in this order; on a direct
  // connection messages carry no sender to match.
  int r = sd_bus_match_signal_async(bus, nullptr, is_bus ? kService : nullptr,
                                    kManagerPath, kManager, "JobRemoved",
                                    OnJobRemoved, nullptr, this);
  if (r < 0) return r;
  if (is_bus) {
    r = sd_bus_add_match_async(
        bus, nullptr,
        "type='signal',sender='org.freedesktop.DBus',"
        "interface='org.freedesktop.DBus',member='NameOwnerChanged',"
        "arg0='org.freedesktop.systemd1'",
        OnOwner, nullptr, this);
    if (r < 0) return r;
  }
  // systemd sends signals only while someone has asked for them.
  return sd_bus_call_method_async(bus, nullptr, kService, kManagerPath,
                                  kManager, "Subscribe", nullptr, nullptr,
                                  nullptr);
}

void UnitConnection::Disconnect(const std::string& why) {
  if (bus_ == nullptr) return;
  Log(LogLevel::kWarning, "the connection to systemd is lost",
      {{"why", why}, {"in_flight", active_.size()}});
  RequeueAll(milliseconds(0));
  bus_.reset();
}

void UnitConnection::RequeueAll(milliseconds delay) {
  for (const auto& request : active_) {
    if (request->stage != UnitStage::kQueued) Requeue(*request, delay);
  }
}

void UnitConnection::Requeue(UnitRequest& request, milliseconds delay) {
  request.slot.reset();
  request.job.clear();
  request.has_job = false;
  request.early.clear();
  request.stage = UnitStage::kQueued;
  request.not_before = steady_clock::now() + delay;
}

void UnitConnection::Finish(UnitRequest& request, absl::Status result) {
  request.slot.reset();
  if (result.ok()) backoff_ = kFirstBackoff;
  if (request.detached && !result.ok()) {
    Log(LogLevel::kWarning, "a unit whose start was given up may be left",
        {{"error", result.ToString()}});
  }
  request.result = std::move(result);
  const auto found =
      std::find_if(active_.begin(), active_.end(),
                   [&](const auto& one) { return one.get() == &request; });
  const std::shared_ptr<UnitRequest> keep = *found;
  active_.erase(found);
  keep->done.Notify();
}

void UnitConnection::Submit(UnitRequest& request) {
  sd_bus_message* raw = nullptr;
  int r =
      sd_bus_message_new_method_call(bus_.get(), &raw, kService, kManagerPath,
                                     kManager, UnitMethodName(request.method));
  const SdMessage message(raw);
  if (r >= 0)
    r = AppendUnitArguments(raw, request.method, request.unit,
                            request.properties);
  if (r == -EINVAL) {
    return Finish(request, absl::InvalidArgumentError(absl::StrCat(
                               Describe(request), ": malformed argument")));
  }
  sd_bus_slot* slot = nullptr;
  if (r >= 0) {
    // No time-out of sd-bus' own: the deadline is ours.
    r = sd_bus_call_async(bus_.get(), &slot, raw, OnReply, &request,
                          UINT64_MAX);
  }
  if (r < 0) return Requeue(request, kFirstBackoff);
  request.slot.reset(slot);
  request.stage = UnitStage::kSent;
}

bool UnitConnection::MayLook(steady_clock::time_point now) {
  if (now - looks_since_ >= options_.check_interval) {
    looks_since_ = now;
    looks_ = 0;
  }
  return ++looks_ <= kLooksPerInterval;
}

void UnitConnection::Look(UnitRequest& request) {
  char* path = nullptr;
  int r = sd_bus_path_encode("/org/freedesktop/systemd1/unit",
                             request.unit.c_str(), &path);
  const std::unique_ptr<char, decltype(&free)> owned(path, free);
  sd_bus_slot* slot = nullptr;
  if (r >= 0) {
    r = sd_bus_call_method_async(
        bus_.get(), &slot, kService, path, "org.freedesktop.DBus.Properties",
        "GetAll", OnState, &request, "s", "org.freedesktop.systemd1.Unit");
  }
  if (r < 0) return Requeue(request, kFirstBackoff);
  request.slot.reset(slot);
  request.stage = UnitStage::kLooking;
}

int UnitConnection::OnReply(sd_bus_message* reply, void* data,
                            sd_bus_error* /*error*/) {
  UnitRequest& request = *static_cast<UnitRequest*>(data);
  UnitConnection& self = *request.connection;
  const sd_bus_error* error = sd_bus_message_get_error(reply);
  if (error == nullptr) {
    if (request.method == UnitMethod::kReset ||
        request.method == UnitMethod::kSet) {
      self.Finish(request, absl::OkStatus());
      return 0;
    }
    const char* job = nullptr;
    if (sd_bus_message_read(reply, "o", &job) < 0) {
      self.Finish(request, absl::InternalError(absl::StrCat(
                               Describe(request), ": the reply has no job")));
      return 0;
    }
    request.job = job;
    self.AwaitJob(request);
    const auto early = request.early.find(request.job);
    if (early != request.early.end()) self.JobDone(request, early->second);
    return 0;
  }
  const std::string name = error->name != nullptr ? error->name : "";
  if (IsTransientBusError(name)) {
    self.Requeue(request, kLongestBackoff / 10);
  } else if (name == "org.freedesktop.systemd1.UnitExists") {
    self.Look(request);
  } else if (name == "org.freedesktop.systemd1.NoSuchUnit" &&
             request.method != UnitMethod::kStart) {
    self.Finish(request, absl::OkStatus());
  } else {
    self.Finish(request, absl::Status(BusErrorCode(name),
                                      absl::StrCat(Describe(request), ": ",
                                                   error->message != nullptr
                                                       ? error->message
                                                       : name)));
  }
  return 0;
}

int UnitConnection::OnState(sd_bus_message* reply, void* data,
                            sd_bus_error* /*error*/) {
  UnitRequest& request = *static_cast<UnitRequest*>(data);
  UnitConnection& self = *request.connection;
  UnitState state;
  if (sd_bus_message_get_error(reply) != nullptr ||
      ReadUnitState(reply, &state) < 0) {
    self.Requeue(request, kLongestBackoff / 10);
    return 0;
  }
  const bool ended = state.active == "inactive" || state.active == "failed";
  if (state.has_job || state.active == "activating" ||
      state.active == "deactivating") {
    // Its own job if there is one, else that of whoever came before.
    self.AwaitJob(request);
  } else if (request.method == UnitMethod::kStart ? !ended : ended) {
    self.Finish(request, absl::OkStatus());
  } else if (++request.attempts >= kMaxAttempts) {
    self.Finish(request,
                absl::InternalError(absl::StrCat(
                    Describe(request), ": the unit is ", state.active)));
  } else {
    if (request.method == UnitMethod::kStart) {
      sd_bus_call_method_async(self.bus_.get(), nullptr, kService, kManagerPath,
                               kManager, "ResetFailedUnit", nullptr, nullptr,
                               "s", request.unit.c_str());
    }
    self.Requeue(request, kFirstBackoff);
  }
  return 0;
}

void UnitConnection::AwaitJob(UnitRequest& request) {
  const auto now = steady_clock::now();
  request.stage = UnitStage::kJob;
  request.has_job = true;
  request.check_at = now + options_.check_interval;
  request.look_by = now + kBusyIntervals * options_.check_interval;
}

void UnitConnection::JobDone(UnitRequest& request, const std::string& result) {
  if (result == "done" || result == "skipped") {
    return Finish(request, absl::OkStatus());
  }
  // Somebody's later job took its place: what counts is what came of it.
  if (result == "canceled") return Look(request);
  Finish(request, absl::InternalError(absl::StrCat(
                      Describe(request), ": the job ended with ", result)));
}

int UnitConnection::OnJobRemoved(sd_bus_message* m, void* data,
                                 sd_bus_error* /*error*/) {
  UnitConnection& self = *static_cast<UnitConnection*>(data);
  uint32_t id = 0;
  const char* job = nullptr;
  const char* unit = nullptr;
  const char* result = nullptr;
  if (sd_bus_message_read(m, "uoss", &id, &job, &unit, &result) < 0) return 0;
  self.last_job_end_ = steady_clock::now();
  for (auto it = self.active_.begin(); it != self.active_.end();) {
    UnitRequest& request = **it++;  // JobDone may take it out.
    if (request.stage == UnitStage::kSent && request.unit == unit) {
      request.early[job] = result;
    } else if (request.stage == UnitStage::kJob && request.job == job) {
      self.JobDone(request, result);
    } else if (request.stage == UnitStage::kJob && request.job.empty() &&
               request.unit == unit) {
      self.Look(request);
    }
  }
  return 0;
}

int UnitConnection::OnOwner(sd_bus_message* m, void* data,
                            sd_bus_error* /*error*/) {
  UnitConnection& self = *static_cast<UnitConnection*>(data);
  const char* name = nullptr;
  const char* before = nullptr;
  const char* after = nullptr;
  if (sd_bus_message_read(m, "sss", &name, &before, &after) < 0) return 0;
  if (*after == '\0') return 0;  // Gone: replies or the next owner tell.
  // A new systemd knows nothing of our subscription, and signals in between
  // were lost.
  sd_bus_call_method_async(self.bus_.get(), nullptr, kService, kManagerPath,
                           kManager, "Subscribe", nullptr, nullptr, nullptr);
  self.RequeueAll(milliseconds(0));
  return 0;
}

steady_clock::time_point UnitConnection::Drive() {
  const auto now = steady_clock::now();
  auto next = now + std::chrono::hours(1);
  for (auto it = active_.begin(); it != active_.end();) {
    const auto place = it++;
    const std::shared_ptr<UnitRequest> request = *place;
    if (now >= request->deadline) {
      const char* what = request->has_job
                             ? ": its job is still queued or running"
                             : ": no answer from systemd";
      Finish(*request, absl::DeadlineExceededError(
                           absl::StrCat(Describe(*request), what)));
      continue;
    }
    if (request->stage == UnitStage::kJob) {
      request->check_at = std::min(
          request->look_by,
          std::max(request->check_at, last_job_end_ + options_.check_interval));
    }
    if (bus_ != nullptr) {
      if (request->stage == UnitStage::kQueued && now >= request->not_before) {
        Submit(*request);
      } else if (request->stage == UnitStage::kJob &&
                 now >= request->check_at) {
        if (MayLook(now)) {
          Look(*request);
          // Behind those that have not had their turn.
          active_.splice(active_.end(), active_, place);
        } else {
          request->look_by = looks_since_ + options_.check_interval;
          request->check_at = request->look_by;
        }
      }
    }
    if (request->done.HasBeenNotified()) continue;
    next = std::min(next, request->deadline);
    if (bus_ == nullptr) continue;
    if (request->stage == UnitStage::kQueued) {
      next = std::min(next, request->not_before);
    }
    if (request->stage == UnitStage::kJob)
      next = std::min(next, request->check_at);
  }
  return next;
}

void UnitConnection::Process() {
  int r = 0;
  while (bus_ != nullptr && (r = sd_bus_process(bus_.get(), nullptr)) > 0) {
  }
  if (r < 0) {
    Disconnect(ErrnoName(-r));
  } else if (bus_ != nullptr && sd_bus_is_open(bus_.get()) <= 0) {
    Disconnect("closed by the other side");
  }
}

void UnitConnection::Wait(steady_clock::time_point next) {
  pollfd fds[2] = {{wakeup_.get(), POLLIN, 0}, {-1, 0, 0}};
  if (bus_ != nullptr) {
    fds[1].fd = sd_bus_get_fd(bus_.get());
    const int events = sd_bus_get_events(bus_.get());
    fds[1].events = static_cast<int16_t>(events > 0 ? events : POLLIN);
    uint64_t until = UINT64_MAX;  // µs of CLOCK_MONOTONIC, as steady_clock.
    if (sd_bus_get_timeout(bus_.get(), &until) > 0 && until != UINT64_MAX) {
      next = std::min(
          next, steady_clock::time_point(std::chrono::microseconds(until)));
    }
  } else {
    next = std::min(next, connect_at_);
  }
  const auto left =
      std::chrono::ceil<milliseconds>(next - steady_clock::now()).count();
  poll(fds, 2, static_cast<int>(std::clamp<int64_t>(left, 0, 3'600'000)));
  if (fds[0].revents != 0) {
    uint64_t ignored = 0;
    (void)!read(wakeup_.get(), &ignored, sizeof(ignored));
  }
}

void UnitConnection::Loop() {
  while (true) {
    {
      const absl::MutexLock lock(&mutex_);
      if (stopping_) break;
    }
    if (bus_ == nullptr && steady_clock::now() >= connect_at_) {
      if (Connect().ok()) {
        Log(LogLevel::kInfo, "connected to systemd again");
      }
      // Also after success: a bus that accepts and drops is not hammered.
      connect_at_ = steady_clock::now() + backoff_;
      backoff_ = std::min(backoff_ * 2, kLongestBackoff);
    }
    TakeNew();
    Process();
    Drive();
    // Writes what was queued, takes what has come meanwhile.
    Process();
    Wait(Drive());
  }
  TakeNew();
  while (!active_.empty()) {
    Finish(*active_.front(), absl::UnavailableError("pinion is stopping"));
  }
}

absl::StatusOr<std::unique_ptr<SystemdBus>> SystemdBus::Create(
    const Options& options) {
  UniqueFd wakeup(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wakeup.valid()) return ErrnoStatus("eventfd");
  auto connection =
      std::make_unique<UnitConnection>(options, std::move(wakeup));
  PINION_RETURN_IF_ERROR(connection->Start());
  return connection;
}

}  // namespace pinion::os
