#include "network/cni/plugin_status.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/json.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "network/cni/plugin.h"

namespace pinion::network::cni {
namespace {

constexpr char kVersionWithStatus[] = "1.1.0";

std::string KeyOf(const NetworkList& list, const CapabilityArgs& arguments) {
  Json key = ToJson(list);
  for (const auto& [name, value] : arguments) key["arguments"][name] = value;
  return key.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// What was settled stays so, also in what is kept until DEL.
NetworkList WithVersion(NetworkList list, const std::string& version) {
  list.version = version;
  list.versions = {version};
  return list;
}

}  // namespace

PluginStatus::~PluginStatus() {
  Stop();
  std::thread thread;
  {
    absl::MutexLock lock(&mutex_);
    thread = std::move(thread_);
  }
  if (thread.joinable()) thread.join();
}

void PluginStatus::Stop() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
}

absl::Status PluginStatus::CheckStopping() const {
  absl::MutexLock lock(&mutex_);
  return stopping_ ? absl::CancelledError("the daemon is being stopped")
                   : absl::OkStatus();
}

absl::StatusOr<std::string> PluginStatus::Run(
    const NetworkList& list, const Plugin& plugin, const std::string& command,
    const CapabilityArgs& arguments) const {
  PINION_ASSIGN_OR_RETURN(const std::string program,
                          FindPlugin(directories_, plugin.type));
  PluginCall call;
  call.command = command;
  return RunPlugin(program, directories_, call,
                   ExecutionConfig(list, plugin, arguments, Json()),
                   std::chrono::steady_clock::now() + times_.limit);
}

absl::StatusOr<std::vector<std::string>> PluginStatus::SpokenBy(
    const NetworkList& list, const Plugin& plugin) const {
  PINION_ASSIGN_OR_RETURN(const std::string output,
                          Run(list, plugin, "VERSION", {}));
  PINION_ASSIGN_OR_RETURN(const Json document,
                          ParseJsonObject(output, "the answer to VERSION"));
  return JsonStrings(document, "supportedVersions");
}

absl::StatusOr<std::string> PluginStatus::AskVersions(const NetworkList& list,
                                                      bool* complete) const {
  std::vector<std::string> possible = list.versions;
  *complete = true;
  for (const Plugin& plugin : list.plugins) {
    PINION_RETURN_IF_ERROR(CheckStopping());
    const absl::StatusOr<std::vector<std::string>> spoken =
        SpokenBy(list, plugin);
    if (!spoken.ok()) {
      // Not there yet, perhaps: an add-on copies it. Its ADD will say what is
      // wrong.
      *complete = false;
      Log(LogLevel::kWarning, "a CNI plugin does not tell its versions",
          {{"plugin", plugin.type}, {"error", spoken.status().ToString()}});
      continue;
    }
    std::erase_if(possible, [&spoken](const std::string& version) {
      return std::find(spoken->begin(), spoken->end(), version) ==
             spoken->end();
    });
    if (!possible.empty()) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "cniVersions: the plugin ", plugin.type, " speaks ",
        absl::StrJoin(*spoken, ", "), ", the configuration ",
        absl::StrJoin(list.versions, ", "), ": none is common to all"));
  }
  return possible.back();
}

absl::StatusOr<std::string> PluginStatus::VersionOf(const NetworkList& list,
                                                    const std::string& key) {
  {
    absl::MutexLock lock(&mutex_);
    if (key == settled_key_) return settled_version_;
  }
  bool complete = false;
  PINION_ASSIGN_OR_RETURN(const std::string version,
                          AskVersions(list, &complete));
  if (!complete) return version;
  absl::MutexLock lock(&mutex_);
  settled_key_ = key;
  settled_version_ = version;
  return version;
}

absl::StatusOr<NetworkList> PluginStatus::Settle(NetworkList list) {
  if (list.versions.size() < 2) return list;
  const std::string key = KeyOf(list, {});
  PINION_ASSIGN_OR_RETURN(const std::string version, asking_.Run(key, [&] {
    return VersionOf(list, key);
  }));
  return WithVersion(std::move(list), version);
}

absl::Status PluginStatus::AskStatus(const Question& question) {
  PINION_ASSIGN_OR_RETURN(const NetworkList list, Settle(question.list));
  if (!IsAtLeast(list, kVersionWithStatus)) return absl::OkStatus();
  for (const Plugin& plugin : list.plugins) {
    PINION_RETURN_IF_ERROR(CheckStopping());
    PINION_RETURN_IF_ERROR(
        Run(list, plugin, "STATUS", question.arguments).status());
  }
  return absl::OkStatus();
}

void PluginStatus::Loop() {
  for (;;) {
    Question question;
    {
      absl::MutexLock lock(&mutex_);
      const auto asked = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || wanted_.has_value();
      };
      mutex_.Await(absl::Condition(&asked));
      if (stopping_) return;
      question = *wanted_;
    }
    absl::Status answer = AskStatus(question);
    absl::MutexLock lock(&mutex_);
    answered_ = question.key;
    answer_ = std::move(answer);
    answered_at_ = std::chrono::steady_clock::now();
    if (wanted_->key == question.key) wanted_.reset();
  }
}

std::optional<absl::Status> PluginStatus::Last(
    const NetworkList& list, const CapabilityArgs& arguments) {
  if (!IsAtLeast(list, kVersionWithStatus)) return absl::OkStatus();
  std::string key = KeyOf(list, arguments);
  absl::MutexLock lock(&mutex_);
  const bool known = key == answered_;
  const auto age = std::chrono::steady_clock::now() - answered_at_;
  if (!known || age > (answer_.ok() ? times_.good : times_.bad)) {
    wanted_ = Question{std::move(key), list, arguments};
    if (!thread_.joinable() && !stopping_) {
      thread_ = std::thread([this] { Loop(); });
    }
  }
  if (!known) return std::nullopt;
  return answer_;
}

}  // namespace pinion::network::cni
