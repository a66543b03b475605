#include "runtime/state_machine.h"

#include <gtest/gtest.h>

#include <map>

namespace pinion::runtime {
namespace {

using state::ContainerState;
using state::PodState;

// Every pair that is legal; every other pair must be refused.
const std::map<std::pair<PodState, PodEvent>, PodState> kPodTable = {
    {{state::POD_CREATING, PodEvent::kReady}, state::POD_READY},
    {{state::POD_CREATING, PodEvent::kRemove}, state::POD_REMOVING},
    {{state::POD_READY, PodEvent::kStop}, state::POD_STOPPING},
    {{state::POD_STOPPING, PodEvent::kStop}, state::POD_STOPPING},
    {{state::POD_STOPPING, PodEvent::kStopped}, state::POD_NOT_READY},
    {{state::POD_NOT_READY, PodEvent::kStop}, state::POD_NOT_READY},
    {{state::POD_NOT_READY, PodEvent::kStopped}, state::POD_NOT_READY},
    {{state::POD_NOT_READY, PodEvent::kRemove}, state::POD_REMOVING},
    {{state::POD_REMOVING, PodEvent::kRemove}, state::POD_REMOVING},
};

const std::map<std::pair<ContainerState, ContainerEvent>, ContainerState>
    kContainerTable = {
        {{state::CONTAINER_CREATED, ContainerEvent::kStarted},
         state::CONTAINER_RUNNING},
        {{state::CONTAINER_CREATED, ContainerEvent::kStartFailed},
         state::CONTAINER_EXITED},
        {{state::CONTAINER_CREATED, ContainerEvent::kExited},
         state::CONTAINER_EXITED},
        {{state::CONTAINER_CREATED, ContainerEvent::kRemove},
         state::CONTAINER_REMOVING},
        {{state::CONTAINER_RUNNING, ContainerEvent::kExited},
         state::CONTAINER_EXITED},
        {{state::CONTAINER_EXITED, ContainerEvent::kRemove},
         state::CONTAINER_REMOVING},
        {{state::CONTAINER_REMOVING, ContainerEvent::kRemove},
         state::CONTAINER_REMOVING},
};

TEST(StateMachineTest, PodsFollowTheTableAndNothingElse) {
  for (int s = state::PodState_MIN; s <= state::PodState_MAX; ++s) {
    for (const PodEvent event : {PodEvent::kReady, PodEvent::kStop,
                                 PodEvent::kStopped, PodEvent::kRemove}) {
      const auto from = static_cast<PodState>(s);
      const auto legal = kPodTable.find({from, event});
      const auto next = Next(from, event);
      ASSERT_EQ(next.has_value(), legal != kPodTable.end())
          << state::PodState_Name(from) << " event " << static_cast<int>(event);
      if (next) {
        EXPECT_EQ(*next, legal->second);
      }
    }
  }
}

TEST(StateMachineTest, ContainersFollowTheTableAndNothingElse) {
  for (int s = state::ContainerState_MIN; s <= state::ContainerState_MAX; ++s) {
    for (const ContainerEvent event :
         {ContainerEvent::kStarted, ContainerEvent::kStartFailed,
          ContainerEvent::kExited, ContainerEvent::kRemove}) {
      const auto from = static_cast<ContainerState>(s);
      const auto legal = kContainerTable.find({from, event});
      const auto next = Next(from, event);
      ASSERT_EQ(next.has_value(), legal != kContainerTable.end())
          << state::ContainerState_Name(from) << " event "
          << static_cast<int>(event);
      if (next) {
        EXPECT_EQ(*next, legal->second);
      }
    }
  }
}

TEST(StateMachineTest, ApplyChangesNothingWhenRefused) {
  state::PodRecord pod;
  pod.set_state(state::POD_REMOVING);
  EXPECT_FALSE(Apply(pod, PodEvent::kReady));
  EXPECT_EQ(pod.state(), state::POD_REMOVING);
}

}  // namespace
}  // namespace pinion::runtime
