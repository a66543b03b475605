// GetContainerEvents over a real channel.

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cri/grpc_event_stream.h"
#include "tests/support/eventually.h"
#include "tests/unit/cri/served.h"

namespace pinion::cri {
namespace {

class EventsTest : public ServedTest {
 protected:
  struct Subscriber {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<api::ContainerEventResponse>> reader;
  };

  // Subscribed when it returns.
  std::unique_ptr<Subscriber> Subscribe() {
    auto subscriber = std::make_unique<Subscriber>();
    // After what any test here waits for.
    subscriber->context.set_deadline(std::chrono::system_clock::now() +
                                     std::chrono::seconds(100));
    subscriber->reader = rpc_->GetContainerEvents(&subscriber->context, {});
    subscriber->reader->WaitForInitialMetadata();
    return subscriber;
  }

  void Publish(runtime::EventKind kind, const std::string& name,
               size_t note_bytes = 0) {
    runtime_.events.Publish([&] {
      auto pod = std::make_shared<state::PodRecord>();
      pod->set_id("pod");
      pod->set_state(state::POD_READY);
      pod->mutable_spec()->set_uid("uid");
      (*pod->mutable_spec()->mutable_annotations())["note"] =
          std::string(note_bytes, 'x');
      auto container = std::make_shared<state::ContainerRecord>();
      container->set_id(name);
      container->set_state(state::CONTAINER_RUNNING);
      runtime::Event event;
      event.kind = kind;
      event.id = name;
      event.created_at_ns = 42;
      event.pod = pod;
      event.containers = {container};
      return std::vector<runtime::Event>{event};
    });
  }

  // Waits (bounded) until so many calls are under way.
  bool AwaitInFlight(int calls) {
    const std::string line =
        "pinion_cri_rpc_in_flight " + std::to_string(calls) + "\n";
    return testing_support::Eventually(
        [&] { return metrics_->Render().find(line) != std::string::npos; });
  }
};

TEST_F(EventsTest, EverySubscriberGetsEveryEvent) {
  const auto one = Subscribe();
  const auto two = Subscribe();
  Publish(runtime::EventKind::kCreated, "c1");
  Publish(runtime::EventKind::kDeleted, "c2");
  for (const auto* subscriber : {one.get(), two.get()}) {
    api::ContainerEventResponse event;
    ASSERT_TRUE(subscriber->reader->Read(&event));
    EXPECT_EQ(event.container_id(), "c1");
    EXPECT_EQ(event.container_event_type(), api::CONTAINER_CREATED_EVENT);
    EXPECT_EQ(event.created_at(), 42);
    EXPECT_EQ(event.pod_sandbox_status().metadata().uid(), "uid");
    ASSERT_EQ(event.containers_statuses_size(), 1);
    EXPECT_EQ(event.containers_statuses(0).state(), api::CONTAINER_RUNNING);
    ASSERT_TRUE(subscriber->reader->Read(&event));
    EXPECT_EQ(event.container_id(), "c2");
    EXPECT_EQ(event.container_event_type(), api::CONTAINER_DELETED_EVENT);
  }
}

TEST_F(EventsTest, TheCallEndsWithTheClientAndIsCounted) {
  auto subscriber = Subscribe();
  EXPECT_TRUE(AwaitInFlight(1));
  subscriber->context.TryCancel();
  EXPECT_TRUE(AwaitInFlight(0));
  subscriber->reader->Finish();
  EXPECT_NE(metrics_->Render().find("pinion_cri_rpc_requests_total{method="
                                    "\"GetContainerEvents\"} 1"),
            std::string::npos);
}

TEST_F(EventsTest, ASubscriberThatDoesNotReadIsDropped) {
  const auto slow = Subscribe();
  // More than the connection's window and the queue hold.
  for (size_t i = 0; i < 2 * runtime::EventQueue::kCapacity; ++i) {
    Publish(runtime::EventKind::kStarted, "c", size_t{8} << 10);
  }
  EXPECT_TRUE(AwaitInFlight(0));
  api::ContainerEventResponse event;
  while (slow->reader->Read(&event)) {
  }
  EXPECT_FALSE(slow->reader->Finish().ok());
}

TEST_F(EventsTest, OneSubscriberTooManyIsRefused) {
  std::vector<std::unique_ptr<Subscriber>> subscribers;
  for (int i = 0; i < kMaxEventStreams; ++i) {
    subscribers.push_back(Subscribe());
  }
  const auto refused = Subscribe();
  api::ContainerEventResponse event;
  EXPECT_FALSE(refused->reader->Read(&event));
  EXPECT_EQ(refused->reader->Finish().error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(EventsTest, AShutdownEndsTheStreamsWithoutWaitingForThem) {
  const auto subscriber = Subscribe();
  // Longer than a slow machine takes.
  constexpr std::chrono::seconds kGrace(90);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(server_->Shutdown(kGrace).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - start, kGrace);
  api::ContainerEventResponse event;
  EXPECT_FALSE(subscriber->reader->Read(&event));
}

}  // namespace
}  // namespace pinion::cri
