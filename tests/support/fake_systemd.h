// The manager half of systemd's D-Bus API as far as os/sd_bus uses it, at the
// other end of a real socket: for faults that the real systemd does not show
// on demand. The real one is tested in the VM.
//
// Thread-safe; a thread of its own answers.

#ifndef PINION_TESTS_SUPPORT_FAKE_SYSTEMD_H_
#define PINION_TESTS_SUPPORT_FAKE_SYSTEMD_H_

#include <systemd/sd-bus.h>

#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "os/unique_fd.h"

namespace pinion::testing_support {

class FakeSystemd {
 public:
  struct Unit {
    std::string active = "active";
    std::map<std::string, std::string> properties;  // as text
  };
  struct Faults {
    // Jobs end only when this many have been started.
    int hold_jobs_until = 0;
    bool job_before_reply = false;
    bool lose_job_signal = false;
    bool never_reply = false;
    // Executes the call, then drops the connection instead of answering.
    int drop_after_calls = 0;
    std::string job_result = "done";
    // Jobs of units whose names begin so never end, unless they are taken back.
    std::string stuck_prefix;
    // D-Bus error of every StartTransientUnit, if not empty.
    std::string start_error;
  };

  // Listens on a socket of its own from now on.
  FakeSystemd();
  ~FakeSystemd();
  FakeSystemd(const FakeSystemd&) = delete;
  FakeSystemd& operator=(const FakeSystemd&) = delete;

  std::string address() const { return "unix:path=" + path_; }

  void SetFaults(const Faults& faults) ABSL_LOCKS_EXCLUDED(mutex_);
  void SetUnit(const std::string& name, const Unit& unit)
      ABSL_LOCKS_EXCLUDED(mutex_);
  std::map<std::string, Unit> units() ABSL_LOCKS_EXCLUDED(mutex_);
  // Member names of the calls so far.
  std::vector<std::string> calls() ABSL_LOCKS_EXCLUDED(mutex_);

  // Drops every connection and refuses new ones, until Return.
  void GoAway();
  void Return();

 private:
  struct Client {
    FakeSystemd* self;
    sd_bus* bus;
    bool drop = false;
  };

  void Listen();
  void Loop();
  void Accept();
  void Post(const std::function<void()>& action);
  int Handle(Client& client, sd_bus_message* call) ABSL_LOCKS_EXCLUDED(mutex_);
  int Start(Client& client, sd_bus_message* call)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int Stop(Client& client, sd_bus_message* call)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int Set(sd_bus_message* call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void ReadProperties(sd_bus_message* call, Unit* unit);
  int GetAll(sd_bus_message* call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsStuck(const std::string& unit) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int ReplyJob(Client& client, sd_bus_message* call, const std::string& unit)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendJobRemoved(uint32_t id, const std::string& unit)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static int OnMessage(sd_bus_message* call, void* data, sd_bus_error* error);

  std::string path_;
  os::UniqueFd listener_;
  os::UniqueFd wakeup_;
  std::vector<Client*> clients_;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::function<void()>> posted_ ABSL_GUARDED_BY(mutex_);
  Faults faults_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Unit> units_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mutex_);
  uint32_t next_job_ ABSL_GUARDED_BY(mutex_) = 1;
  std::vector<std::pair<uint32_t, std::string>> held_ ABSL_GUARDED_BY(mutex_);

  std::thread thread_;
};

}  // namespace pinion::testing_support

#endif  // PINION_TESTS_SUPPORT_FAKE_SYSTEMD_H_
