// What the plugins of a configuration say of themselves: which versions of the
// specification they speak (VERSION), and whether they can serve an ADD now
// (STATUS, 1.1.0).
//
// Thread-safe. Plugins are programs of others and take their time: STATUS is
// asked on a thread of its own, and only while somebody wants to know.

#ifndef PINION_NETWORK_CNI_PLUGIN_STATUS_H_
#define PINION_NETWORK_CNI_PLUGIN_STATUS_H_

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/join_table.h"
#include "network/cni/config.h"

namespace pinion::network::cni {

class PluginStatus {
 public:
  // An answer counts for so long; a plugin may take `limit`.
  struct Times {
    std::chrono::milliseconds good{10'000};
    std::chrono::milliseconds bad{2'000};
    std::chrono::milliseconds limit{5'000};
  };

  PluginStatus(std::vector<std::string> directories, Times times)
      : directories_(std::move(directories)), times_(times) {}
  // Waits for the plugin that is being asked.
  ~PluginStatus();
  // No further plugin is asked; who wants to know gets Cancelled.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

  PluginStatus(const PluginStatus&) = delete;
  PluginStatus& operator=(const PluginStatus&) = delete;

  // The list in the highest version that it, pinion and every plugin speak.
  // Runs the plugins' VERSION if the list leaves a choice and its text is new,
  // once for all that ask at the same time. InvalidArgument: there is none.
  absl::StatusOr<NetworkList> Settle(NetworkList list)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // What STATUS last answered for this list; runs nothing. An old answer still
  // counts while plugins are asked anew. nullopt: not answered yet. OK for
  // lists below 1.1.0, which have no STATUS.
  std::optional<absl::Status> Last(const NetworkList& list,
                                   const CapabilityArgs& arguments)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Question {
    std::string key;
    NetworkList list;
    CapabilityArgs arguments;
  };

  absl::StatusOr<std::string> Run(const NetworkList& list, const Plugin& plugin,
                                  const std::string& command,
                                  const CapabilityArgs& arguments) const;
  absl::StatusOr<std::vector<std::string>> SpokenBy(const NetworkList& list,
                                                    const Plugin& plugin) const;
  // The version that counts for the list with this key, known or asked for.
  absl::StatusOr<std::string> VersionOf(const NetworkList& list,
                                        const std::string& key)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // `complete`: every plugin has answered, so that the answer lasts.
  absl::StatusOr<std::string> AskVersions(const NetworkList& list,
                                          bool* complete) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status CheckStopping() const ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status AskStatus(const Question& question) ABSL_LOCKS_EXCLUDED(mutex_);
  void Loop() ABSL_LOCKS_EXCLUDED(mutex_);

  const std::vector<std::string> directories_;
  const Times times_;
  // Who wants to know a list's version while it is asked for waits for that.
  JoinTable<absl::StatusOr<std::string>> asking_;
  mutable absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // To be asked next.
  std::optional<Question> wanted_ ABSL_GUARDED_BY(mutex_);
  // The answer, to which question, and when it was given.
  std::string answered_ ABSL_GUARDED_BY(mutex_);
  absl::Status answer_ ABSL_GUARDED_BY(mutex_);
  std::chrono::steady_clock::time_point answered_at_ ABSL_GUARDED_BY(mutex_);
  // The list settled last, by its text.
  std::string settled_key_ ABSL_GUARDED_BY(mutex_);
  std::string settled_version_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pinion::network::cni

#endif  // PINION_NETWORK_CNI_PLUGIN_STATUS_H_
