#include "runtime/events.h"

#include <gtest/gtest.h>

#include <atomic>

namespace pinion::runtime {
namespace {

void Publish(EventHub& hub, const std::string& id) {
  hub.Publish([&id] {
    Event event;
    event.id = id;
    return std::vector<Event>{event};
  });
}

TEST(EventHubTest, EverySubscriberGetsEveryEventInOrder) {
  EventHub hub;
  std::atomic<int> ready = 0;
  const auto one = hub.Subscribe([&ready] { ++ready; });
  const auto two = hub.Subscribe([&ready] { ++ready; });
  Publish(hub, "a");
  Publish(hub, "b");
  EXPECT_EQ(ready, 4);
  for (const auto& queue : {one, two}) {
    EXPECT_EQ(queue->Pop()->id, "a");
    EXPECT_EQ(queue->Pop()->id, "b");
    EXPECT_EQ(queue->Pop(), nullptr);
  }
}

TEST(EventHubTest, ASubscriptionEndsWithItsQueue) {
  EventHub hub;
  int ready = 0;
  auto queue = hub.Subscribe([&ready] { ++ready; });
  Publish(hub, "a");
  queue.reset();
  Publish(hub, "b");
  EXPECT_EQ(ready, 1);
}

TEST(EventHubTest, ASlowSubscriberLosesItsPlaceAndHoldsNobody) {
  EventHub hub;
  const auto slow = hub.Subscribe([] {});
  const auto quick = hub.Subscribe([] {});
  for (size_t i = 0; i < EventQueue::kCapacity; ++i) {
    Publish(hub, "x");
    ASSERT_NE(quick->Pop(), nullptr);
  }
  EXPECT_FALSE(slow->overflowed());
  Publish(hub, "last");
  EXPECT_TRUE(slow->overflowed());
  EXPECT_EQ(slow->Pop(), nullptr);
  EXPECT_FALSE(quick->overflowed());
  EXPECT_EQ(quick->Pop()->id, "last");
}

TEST(EventHubTest, SeveralEventsOfOnePublicationStayTogether) {
  EventHub hub;
  const auto queue = hub.Subscribe([] {});
  hub.Publish([] {
    std::vector<Event> events(2);
    events[0].kind = EventKind::kStarted;
    events[1].kind = EventKind::kStopped;
    return events;
  });
  EXPECT_EQ(queue->Pop()->kind, EventKind::kStarted);
  EXPECT_EQ(queue->Pop()->kind, EventKind::kStopped);
}

}  // namespace
}  // namespace pinion::runtime
