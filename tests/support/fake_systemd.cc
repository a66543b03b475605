#include "tests/support/fake_systemd.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/notification.h"
#include "base/id.h"

namespace pinion::testing_support {
namespace {

constexpr char kManagerPath[] = "/org/freedesktop/systemd1";
constexpr char kManager[] = "org.freedesktop.systemd1.Manager";

std::string JobPath(uint32_t id) {
  return absl::StrCat("/org/freedesktop/systemd1/job/", id);
}

// A property's value as text: "b:1", "t:7", "s:x", "au:1,2".
std::string ReadVariant(sd_bus_message* m) {
  char type = 0;
  const char* contents = nullptr;
  sd_bus_message_peek_type(m, &type, &contents);
  const std::string kind = contents;
  sd_bus_message_enter_container(m, 'v', contents);
  std::string text;
  if (kind == "b") {
    int flag = 0;
    sd_bus_message_read(m, "b", &flag);
    text = absl::StrCat("b:", flag);
  } else if (kind == "t") {
    uint64_t number = 0;
    sd_bus_message_read(m, "t", &number);
    text = absl::StrCat("t:", number);
  } else if (kind == "s") {
    const char* string = nullptr;
    sd_bus_message_read(m, "s", &string);
    text = absl::StrCat("s:", string);
  } else if (kind == "au") {
    const void* data = nullptr;
    size_t size = 0;
    sd_bus_message_read_array(m, 'u', &data, &size);
    const auto* numbers = static_cast<const uint32_t*>(data);
    text = "au:" + absl::StrJoin(numbers, numbers + size / 4, ",");
  }
  sd_bus_message_exit_container(m);
  return text;
}

}  // namespace

FakeSystemd::FakeSystemd()
    : path_("/tmp/pn-fake-systemd-" + NewId().substr(0, 16)),
      wakeup_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  Listen();
  thread_ = std::thread([this] { Loop(); });
}

FakeSystemd::~FakeSystemd() {
  GoAway();
  {
    const absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  Post([] {});
  thread_.join();
  unlink(path_.c_str());
}

void FakeSystemd::Listen() {
  unlink(path_.c_str());
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path_.c_str(), sizeof(address.sun_path) - 1);
  listener_.Reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address),
                 sizeof(address)),
            0);
  ASSERT_EQ(listen(listener_.get(), 16), 0);
}

void FakeSystemd::Post(const std::function<void()>& action) {
  {
    const absl::MutexLock lock(&mutex_);
    posted_.push_back(action);
  }
  const uint64_t one = 1;
  (void)!write(wakeup_.get(), &one, sizeof(one));
}

void FakeSystemd::SetFaults(const Faults& faults) {
  const absl::MutexLock lock(&mutex_);
  faults_ = faults;
}

void FakeSystemd::SetUnit(const std::string& name, const Unit& unit) {
  const absl::MutexLock lock(&mutex_);
  units_[name] = unit;
}

std::map<std::string, FakeSystemd::Unit> FakeSystemd::units() {
  const absl::MutexLock lock(&mutex_);
  return units_;
}

std::vector<std::string> FakeSystemd::calls() {
  const absl::MutexLock lock(&mutex_);
  return calls_;
}

void FakeSystemd::GoAway() {
  absl::Notification done;
  Post([&] {
    listener_.Reset();
    unlink(path_.c_str());
    for (Client* client : clients_) client->drop = true;
    done.Notify();
  });
  done.WaitForNotification();
}

void FakeSystemd::Return() {
  absl::Notification done;
  Post([&] {
    Listen();
    done.Notify();
  });
  done.WaitForNotification();
}

void FakeSystemd::Accept() {
  const int fd =
      accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  auto* client = new Client{this, nullptr};
  sd_bus_new(&client->bus);
  sd_bus_set_fd(client->bus, fd, fd);
  sd_bus_set_server(
      client->bus, 1,
      SD_ID128_MAKE(1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6));
  sd_bus_add_filter(client->bus, nullptr, OnMessage, client);
  sd_bus_start(client->bus);
  clients_.push_back(client);
}

void FakeSystemd::Loop() {
  while (true) {
    std::vector<std::function<void()>> actions;
    {
      const absl::MutexLock lock(&mutex_);
      if (stopping_ && clients_.empty()) return;
      actions.swap(posted_);
    }
    for (const auto& action : actions) action();
    std::vector<pollfd> fds = {{wakeup_.get(), POLLIN, 0},
                               {listener_.get(), POLLIN, 0}};
    bool busy = false;
    for (size_t i = 0; i < clients_.size();) {
      Client* client = clients_[i];
      int r = 0;
      while (!client->drop && (r = sd_bus_process(client->bus, nullptr)) > 0) {
      }
      if (client->drop || r < 0 || sd_bus_is_open(client->bus) <= 0) {
        sd_bus_close_unref(client->bus);
        delete client;
        clients_.erase(clients_.begin() + static_cast<std::ptrdiff_t>(i));
        continue;
      }
      uint64_t timeout = UINT64_MAX;
      sd_bus_get_timeout(client->bus, &timeout);
      busy = busy || timeout == 0;
      fds.push_back({sd_bus_get_fd(client->bus),
                     static_cast<int16_t>(sd_bus_get_events(client->bus)), 0});
      ++i;
    }
    poll(fds.data(), fds.size(), busy ? 0 : 100);
    uint64_t ignored = 0;
    (void)!read(wakeup_.get(), &ignored, sizeof(ignored));
    if ((fds[1].revents & POLLIN) != 0 && listener_.valid()) Accept();
  }
}

int FakeSystemd::OnMessage(sd_bus_message* call, void* data,
                           sd_bus_error* /*error*/) {
  auto* client = static_cast<Client*>(data);
  if (sd_bus_message_is_method_call(call, nullptr, nullptr) <= 0) return 0;
  return client->self->Handle(*client, call);
}

int FakeSystemd::Handle(Client& client, sd_bus_message* call) {
  const std::string member = sd_bus_message_get_member(call);
  const absl::MutexLock lock(&mutex_);
  calls_.push_back(member);
  int r = 1;
  if (member == "Subscribe") {
    r = sd_bus_reply_method_return(call, nullptr);
  } else if (member == "GetAll") {
    r = GetAll(call);
  } else if (faults_.never_reply) {
    return 1;
  } else if (member == "StartTransientUnit") {
    r = Start(client, call);
  } else if (member == "StopUnit") {
    r = Stop(client, call);
  } else if (member == "SetUnitProperties") {
    r = Set(call);
  } else if (member == "ResetFailedUnit") {
    const char* name = nullptr;
    sd_bus_message_read(call, "s", &name);
    const auto unit = units_.find(name);
    const bool failed = unit != units_.end() && unit->second.active == "failed";
    if (failed) units_.erase(unit);
    r = failed ? sd_bus_reply_method_return(call, nullptr)
               : sd_bus_reply_method_errorf(
                     call, "org.freedesktop.systemd1.NoSuchUnit", "none");
  }
  if (faults_.drop_after_calls > 0 && member != "Subscribe" &&
      --faults_.drop_after_calls == 0) {
    client.drop = true;
  }
  return r < 0 ? r : 1;
}

void FakeSystemd::ReadProperties(sd_bus_message* call, Unit* unit) {
  sd_bus_message_enter_container(call, 'a', "(sv)");
  while (sd_bus_message_enter_container(call, 'r', "sv") > 0) {
    const char* key = nullptr;
    sd_bus_message_read(call, "s", &key);
    unit->properties[key] = ReadVariant(call);
    sd_bus_message_exit_container(call);
  }
}

int FakeSystemd::Start(Client& client, sd_bus_message* call) {
  const char* name = nullptr;
  const char* mode = nullptr;
  sd_bus_message_read(call, "ss", &name, &mode);
  if (!faults_.start_error.empty()) {
    return sd_bus_reply_method_errorf(call, faults_.start_error.c_str(),
                                      "as told");
  }
  if (units_.count(name) != 0) {
    return sd_bus_reply_method_errorf(
        call, "org.freedesktop.systemd1.UnitExists", "exists");
  }
  Unit unit;
  if (faults_.job_result != "done") unit.active = "failed";
  ReadProperties(call, &unit);
  units_[name] = unit;
  return ReplyJob(client, call, name);
}

int FakeSystemd::Set(sd_bus_message* call) {
  const char* name = nullptr;
  int runtime = 0;
  sd_bus_message_read(call, "sb", &name, &runtime);
  const auto unit = units_.find(name);
  if (unit == units_.end()) {
    return sd_bus_reply_method_errorf(
        call, "org.freedesktop.systemd1.NoSuchUnit", "none");
  }
  unit->second.properties["runtime"] = runtime != 0 ? "true" : "false";
  ReadProperties(call, &unit->second);
  return sd_bus_reply_method_return(call, nullptr);
}

int FakeSystemd::Stop(Client& client, sd_bus_message* call) {
  const char* name = nullptr;
  sd_bus_message_read(call, "s", &name);
  if (units_.erase(name) == 0) {
    return sd_bus_reply_method_errorf(
        call, "org.freedesktop.systemd1.NoSuchUnit", "not loaded");
  }
  return ReplyJob(client, call, name);
}

int FakeSystemd::GetAll(sd_bus_message* call) {
  char* name = nullptr;
  sd_bus_path_decode(sd_bus_message_get_path(call),
                     "/org/freedesktop/systemd1/unit", &name);
  const auto unit = units_.find(name != nullptr ? name : "");
  free(name);
  const std::string active =
      unit != units_.end() ? unit->second.active : "inactive";
  const bool stuck = unit != units_.end() && IsStuck(unit->first);
  return sd_bus_reply_method_return(
      call, "a{sv}", 3, "Id", "s", "x", "ActiveState", "s",
      stuck ? "inactive" : active.c_str(), "Job", "(uo)", stuck ? 1 : 0, "/");
}

bool FakeSystemd::IsStuck(const std::string& unit) const {
  return !faults_.stuck_prefix.empty() && units_.count(unit) != 0 &&
         unit.rfind(faults_.stuck_prefix, 0) == 0;
}

int FakeSystemd::ReplyJob(Client& client, sd_bus_message* call,
                          const std::string& unit) {
  const uint32_t id = next_job_++;
  if (client.drop || faults_.drop_after_calls == 1) return 1;
  if (faults_.job_before_reply) SendJobRemoved(id, unit);
  const int r = sd_bus_reply_method_return(call, "o", JobPath(id).c_str());
  if (faults_.job_before_reply || faults_.lose_job_signal) return r;
  if (IsStuck(unit)) return r;
  held_.emplace_back(id, unit);
  if (static_cast<int>(held_.size()) >= faults_.hold_jobs_until) {
    for (const auto& [job, name] : held_) SendJobRemoved(job, name);
    held_.clear();
  }
  return r;
}

void FakeSystemd::SendJobRemoved(uint32_t id, const std::string& unit) {
  for (Client* client : clients_) {
    sd_bus_emit_signal(client->bus, kManagerPath, kManager, "JobRemoved",
                       "uoss", id, JobPath(id).c_str(), unit.c_str(),
                       faults_.job_result.c_str());
  }
}

}  // namespace pinion::testing_support
