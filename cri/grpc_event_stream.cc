#include "cri/grpc_event_stream.h"

#include <atomic>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "cri/grpc_status.h"
#include "cri/translate_event.h"
#include "runtime/runtime.h"

namespace pinion::cri {
namespace {

using Response = api::ContainerEventResponse;

std::atomic<int> open_streams = 0;

class EventStream;

// What the publisher's threads hold of a stream, which may end before them.
struct Link {
  absl::Mutex mutex;
  EventStream* stream ABSL_GUARDED_BY(mutex) = nullptr;
};

// One operation at a time (metadata, a write, a cancellation), chosen by
// Advance; Finish is called when none is under way, so the object outlives
// each. gRPC's functions are called without the lock: a reaction may run
// before they return.
class EventStream final : public grpc::ServerWriteReactor<Response> {
 public:
  EventStream(runtime::Runtime& runtime, RpcDecorator& decorator,
              grpc::CallbackServerContext* context)
      : context_(*context),
        call_(decorator.Open("GetContainerEvents")),
        link_(std::make_shared<Link>()) {
    const bool refused = ++open_streams > kMaxEventStreams;
    {
      const absl::MutexLock lock(&link_->mutex);
      link_->stream = this;
      writing_ = true;
      if (refused) {
        end_ = absl::ResourceExhaustedError(absl::StrCat(
            "there are ", kMaxEventStreams, " subscribers already"));
      }
    }
    if (!refused) {
      auto queue = runtime.SubscribeEvents([link = link_] { Advance(*link); });
      const absl::MutexLock lock(&link_->mutex);
      queue_ = std::move(queue);
    }
    // A client that has the metadata misses no event from then on.
    StartSendInitialMetadata();
  }

  ~EventStream() override { --open_streams; }

  void OnSendInitialMetadataDone(bool ok) override { Written(ok); }
  void OnWriteDone(bool ok) override { Written(ok); }

  void OnCancel() override {
    {
      const absl::MutexLock lock(&link_->mutex);
      if (end_.ok()) end_ = absl::CancelledError("the client has gone");
    }
    Advance(*link_);
  }

  void OnDone() override {
    absl::Status end;
    {
      const absl::MutexLock lock(&link_->mutex);
      link_->stream = nullptr;
      end = end_;
    }
    call_->End(end);
    delete this;
  }

 private:
  void Written(bool ok) {
    {
      const absl::MutexLock lock(&link_->mutex);
      writing_ = false;
      if (!ok && end_.ok()) end_ = absl::CancelledError("the client has gone");
    }
    Advance(*link_);
  }

  enum class Action { kNone, kWrite, kCancel, kFinish };

  Action Choose() ABSL_EXCLUSIVE_LOCKS_REQUIRED(link_->mutex) {
    if (finished_ || cancelling_) return Action::kNone;
    if (end_.ok() && queue_ != nullptr && queue_->overflowed()) {
      end_ = absl::ResourceExhaustedError(
          "the subscriber fell too far behind; subscribe again");
      // It does not take what was sent: nothing else ends that write.
      if (writing_) {
        cancelling_ = true;
        return Action::kCancel;
      }
    }
    if (writing_) return Action::kNone;
    if (!end_.ok()) {
      finished_ = true;
      return Action::kFinish;
    }
    const auto event = queue_->Pop();
    if (event == nullptr) return Action::kNone;
    message_.Clear();
    ToContainerEvent(*event, &message_);
    writing_ = true;
    return Action::kWrite;
  }

  static void Advance(Link& link) {
    EventStream* stream = nullptr;
    Action action = Action::kNone;
    absl::Status end;
    {
      const absl::MutexLock lock(&link.mutex);
      stream = link.stream;
      if (stream == nullptr) return;
      action = stream->ChooseLocked();
      end = stream->end_;
    }
    switch (action) {
      case Action::kNone:
        return;
      case Action::kWrite:
        stream->StartWrite(&stream->message_);
        return;
      case Action::kFinish:
        stream->Finish(ToGrpc(end));
        return;
      case Action::kCancel:
        stream->context_.TryCancel();
        {
          const absl::MutexLock lock(&link.mutex);
          stream->cancelling_ = false;
        }
        Advance(link);
        return;
    }
  }

  // The analysis does not see that link.mutex is link_->mutex.
  Action ChooseLocked() ABSL_NO_THREAD_SAFETY_ANALYSIS { return Choose(); }

  grpc::CallbackServerContext& context_;
  const std::unique_ptr<RpcDecorator::OpenCall> call_;
  const std::shared_ptr<Link> link_;
  // All guarded by link_->mutex; the message while no write is under way.
  std::shared_ptr<runtime::EventQueue> queue_;
  Response message_;
  bool writing_ = false;
  bool cancelling_ = false;
  bool finished_ = false;
  absl::Status end_;
};

}  // namespace

grpc::ServerWriteReactor<Response>* NewEventStream(
    runtime::Runtime& runtime, RpcDecorator& decorator,
    grpc::CallbackServerContext* context) {
  return new EventStream(runtime, decorator, context);
}

}  // namespace pinion::cri
