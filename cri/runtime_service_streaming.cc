#include "cri/runtime_service_streaming.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cri/field.h"
#include "cri/message_limit.h"
#include "cri/resolve.h"
#include "cri/streaming/server.h"
#include "runtime/runtime.h"

namespace pinion::cri {
namespace {

// What Exec and Attach have in common.
template <typename Message>
absl::StatusOr<runtime::StreamOptions> ToStreams(const Message& request) {
  if (!request.stdin() && !request.stdout() && !request.stderr()) {
    return absl::InvalidArgumentError(
        "stdin, stdout, stderr: at least one must be true");
  }
  if (request.tty() && request.stderr()) {
    return RefuseField(
        Field("stderr"),
        "must be false with tty, which has no stderr of its own");
  }
  runtime::StreamOptions streams;
  streams.stdin_open = request.stdin();
  streams.stdout_open = request.stdout();
  streams.stderr_open = request.stderr();
  streams.terminal = request.tty();
  return streams;
}

absl::StatusOr<runtime::ContainerSnapshot> FindRunning(
    const runtime::Runtime& runtime, const std::string& id) {
  PINION_ASSIGN_OR_RETURN(runtime::ContainerSnapshot container,
                          ResolveContainer(runtime, id));
  if (container->state() != state::CONTAINER_RUNNING) {
    return absl::FailedPreconditionError(
        absl::StrCat("container ", container->id(), " is not running"));
  }
  return container;
}

absl::StatusOr<std::string> UrlOf(streaming::Server* server,
                                  streaming::Request request) {
  if (server == nullptr) {
    return absl::UnavailableError("the streaming server does not run");
  }
  return server->Url(std::move(request));
}

}  // namespace

absl::Status StreamingRpcs::Exec(const api::ExecRequest& request,
                                 api::ExecResponse* response) {
  const Field cmd("cmd");
  if (request.cmd().empty()) return RefuseField(cmd, "must not be empty");
  if (request.cmd(0).empty()) {
    return RefuseField(cmd.At(0), "must not be empty");
  }
  streaming::Request wanted;
  wanted.kind = streaming::Kind::kExec;
  for (int i = 0; i < request.cmd_size(); ++i) {
    PINION_RETURN_IF_ERROR(
        CheckText(cmd.At(i), request.cmd(i), kMaxArgument - 1));
    wanted.command.push_back(request.cmd(i));
  }
  PINION_ASSIGN_OR_RETURN(wanted.streams, ToStreams(request));
  PINION_ASSIGN_OR_RETURN(const auto container,
                          FindRunning(runtime_, request.container_id()));
  wanted.id = container->id();
  PINION_ASSIGN_OR_RETURN(*response->mutable_url(),
                          UrlOf(server_, std::move(wanted)));
  return absl::OkStatus();
}

absl::Status StreamingRpcs::Attach(const api::AttachRequest& request,
                                   api::AttachResponse* response) {
  streaming::Request wanted;
  wanted.kind = streaming::Kind::kAttach;
  PINION_ASSIGN_OR_RETURN(wanted.streams, ToStreams(request));
  PINION_ASSIGN_OR_RETURN(const auto container,
                          FindRunning(runtime_, request.container_id()));
  if (container->spec().tty() != request.tty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "tty: container ", container->id(),
        container->spec().tty() ? " has a terminal" : " has no terminal"));
  }
  wanted.id = container->id();
  PINION_ASSIGN_OR_RETURN(*response->mutable_url(),
                          UrlOf(server_, std::move(wanted)));
  return absl::OkStatus();
}

absl::Status StreamingRpcs::PortForward(const api::PortForwardRequest& request,
                                        api::PortForwardResponse* response) {
  const Field port("port");
  streaming::Request wanted;
  wanted.kind = streaming::Kind::kPortForward;
  for (int i = 0; i < request.port_size(); ++i) {
    if (request.port(i) < 1 || request.port(i) > UINT16_MAX) {
      return RefuseField(port.At(i), "must be from 1 to 65535");
    }
    wanted.ports.push_back(static_cast<uint16_t>(request.port(i)));
  }
  PINION_ASSIGN_OR_RETURN(const runtime::PodSnapshot pod,
                          ResolvePod(runtime_, request.pod_sandbox_id()));
  if (pod->state() != state::POD_READY) {
    return absl::FailedPreconditionError(
        absl::StrCat("pod sandbox ", pod->id(), " is not ready"));
  }
  wanted.id = pod->id();
  PINION_ASSIGN_OR_RETURN(*response->mutable_url(),
                          UrlOf(server_, std::move(wanted)));
  return absl::OkStatus();
}

}  // namespace pinion::cri
