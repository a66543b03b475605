// Around every RPC: one log line, counters, latency, and the last word on what
// the client sees of an error.
//
//   pinion_cri_rpc_requests_total{method}
//   pinion_cri_rpc_errors_total{method,code}
//   pinion_cri_rpc_duration_seconds{method}     histogram
//   pinion_cri_rpc_in_flight                    gauge
//
// RPCs that change something are logged at info, or as a warning when they
// fail; the others at debug; an Internal error always as an error. Of a request
// only ids, names and image references are logged, so no secret can be.
//
// Thread-safe.

#ifndef PINION_CRI_RPC_DECORATOR_H_
#define PINION_CRI_RPC_DECORATOR_H_

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "base/clock.h"
#include "base/log.h"
#include "cri/rpc_fields.h"
#include "metrics/metrics.h"

namespace pinion::cri {

class RpcDecorator {
  struct Method;

 public:
  explicit RpcDecorator(metrics::Registry& metrics,
                        const Clock& clock = Clock::Real());
  ~RpcDecorator();

  // Runs `call` and returns what to answer: its status, with Unknown and
  // exceptions as Internal and the message cut to what fits into HTTP/2
  // trailers. `method` is one of the CRI's or AdminService's.
  template <typename Request, typename Response>
  absl::Status Serve(std::string_view method, const Request& request,
                     const Response& response,
                     absl::FunctionRef<absl::Status()> call) {
    return Run(method, call, [&](std::vector<LogField>& fields) {
      AddRpcFields(request, response, fields);
    });
  }

  // A call that goes on after its handler returned (a stream of events):
  // counted, timed and logged like any other when End is called, once. It is
  // in pinion_cri_rpc_in_flight, but AwaitIdle does not wait for it: it would
  // never end by itself.
  class OpenCall {
   public:
    ~OpenCall();
    void End(const absl::Status& status);

   private:
    friend class RpcDecorator;
    OpenCall(RpcDecorator& decorator, Method& method);

    RpcDecorator& decorator_;
    Method& method_;
    const Stopwatch watch_;
  };
  std::unique_ptr<OpenCall> Open(std::string_view method);

  // Waits until no call is under way; false if that takes longer.
  bool AwaitIdle(std::chrono::milliseconds timeout);

 private:
  using Describe = absl::FunctionRef<void(std::vector<LogField>&)>;

  void CountCalls(int by);
  // With its instruments made.
  Method& Find(std::string_view name);
  void Ended(Method& method, const absl::Status& status, double seconds,
             Describe describe);
  absl::Status Run(std::string_view method,
                   absl::FunctionRef<absl::Status()> call, Describe describe);
  void LogCall(const Method& method, const absl::Status& status, double seconds,
               Describe describe);

  metrics::Registry& metrics_;
  const Clock& clock_;
  metrics::Gauge& in_flight_;
  // The standard's, which waits on the monotonic clock; Abseil's time-outs
  // move with the wall clock.
  std::mutex mutex_;
  std::condition_variable idle_;
  int calls_ = 0;  // guarded by mutex_
  // Filled by the constructor, only read afterwards.
  std::map<std::string_view, std::unique_ptr<Method>> methods_;
};

}  // namespace pinion::cri

#endif  // PINION_CRI_RPC_DECORATOR_H_
