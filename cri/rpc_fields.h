// What a log line says of a request: which pod, container or image it was
// about. Works on any message; only the fields named here are read, never the
// rest (environments, arguments and credentials are secrets).
//
// Thread-safe.

#ifndef PINION_CRI_RPC_FIELDS_H_
#define PINION_CRI_RPC_FIELDS_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"

namespace pinion::cri {

// Ids and references come from outside: they are cut to this many bytes.
inline constexpr size_t kLoggedBytes = 256;

inline void AddTextField(std::string_view key, std::string_view value,
                         std::vector<LogField>& fields) {
  if (!value.empty()) fields.emplace_back(key, value.substr(0, kLoggedBytes));
}

template <typename Message>
void AddIdFields(const Message& message, std::vector<LogField>& fields) {
  if constexpr (requires { message.pod_sandbox_id(); }) {
    AddTextField("pod", message.pod_sandbox_id(), fields);
  }
  if constexpr (requires { message.pod_id(); }) {
    AddTextField("pod", message.pod_id(), fields);
  }
  if constexpr (requires { message.container_id(); }) {
    AddTextField("container", message.container_id(), fields);
  }
}

template <typename Request, typename Response>
void AddRpcFields(const Request& request, const Response& response,
                  std::vector<LogField>& fields) {
  AddIdFields(request, fields);
  // An id that the request does not have is the answer's.
  if constexpr (!requires { request.pod_id(); }) {
    AddIdFields(response, fields);
  }
  if constexpr (requires { request.config().metadata().namespace_(); }) {
    AddTextField("namespace", request.config().metadata().namespace_(), fields);
  }
  if constexpr (requires { request.config().metadata().name(); }) {
    AddTextField("name", request.config().metadata().name(), fields);
  }
  if constexpr (requires { request.image().image(); }) {
    AddTextField("image", request.image().image(), fields);
  }
  if constexpr (requires { request.runtime_config().network_config(); }) {
    AddTextField("pod_cidr",
                 request.runtime_config().network_config().pod_cidr(), fields);
  }
  if constexpr (requires { request.path(); }) {
    AddTextField("path", request.path(), fields);
  }
}

}  // namespace pinion::cri

#endif  // PINION_CRI_RPC_FIELDS_H_
