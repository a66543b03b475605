// From the messages' plain values to the client's, and to absl::Status.
//
// Thread-safe.

#ifndef PINION_RUNTIME_MONITOR_CLIENT_RECORDS_H_
#define PINION_RUNTIME_MONITOR_CLIENT_RECORDS_H_

#include "absl/status/status.h"
#include "runtime/monitor/client.h"
#include "runtime/monitor/messages.h"

namespace pinion::monitor {

ExitRecord ToExitRecord(const ExitMessage& message);
ContainerReport ToContainerReport(const ReportMessage& message);

// "<what> <object>: ENOENT" with the errno's code; EBUSY FailedPrecondition.
absl::Status ToStatus(const Error& error);

// Of a start: what the process could not do is FailedPrecondition, whatever
// its errno; no resources are ResourceExhausted, an id in use AlreadyExists.
absl::Status ToStartStatus(const Error& error);

}  // namespace pinion::monitor

#endif  // PINION_RUNTIME_MONITOR_CLIENT_RECORDS_H_
