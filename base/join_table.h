// A second call with the same key joins the one that is under way and gets
// its result: a kubelet that retries after its deadline must never start the
// same thing twice, nor be told that a name is reserved.
//
// Thread-safe.

#ifndef PINION_BASE_JOIN_TABLE_H_
#define PINION_BASE_JOIN_TABLE_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace pinion {

template <typename Result>
class JoinTable {
 public:
  // Runs `operation` unless one with this key is running; then waits for that
  // one. The key is free again when the result is known.
  template <typename Operation>
  Result Run(const std::string& key, Operation operation) {
    std::shared_ptr<Flight> flight;
    {
      const absl::MutexLock lock(&mutex_);
      std::shared_ptr<Flight>& slot = flights_[key];
      if (slot != nullptr) {
        flight = slot;
        const auto landed = [&flight] { return flight->result.has_value(); };
        mutex_.Await(absl::Condition(&landed));
        return *flight->result;
      }
      slot = std::make_shared<Flight>();
      flight = slot;
    }
    Result result = operation();
    const absl::MutexLock lock(&mutex_);
    flight->result = result;
    flights_.erase(key);
    return result;
  }

 private:
  struct Flight {
    std::optional<Result> result;
  };

  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Flight>> flights_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion

#endif  // PINION_BASE_JOIN_TABLE_H_
