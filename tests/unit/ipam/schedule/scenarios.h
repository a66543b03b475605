// What three threads do at the same time: each scenario is a shape of the pool,
// what precedes, and a body per thread.

#ifndef PINION_TESTS_UNIT_IPAM_SCHEDULE_SCENARIOS_H_
#define PINION_TESTS_UNIT_IPAM_SCHEDULE_SCENARIOS_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/ipam/schedule/scheduler.h"
#include "tests/unit/ipam/schedule/world.h"

namespace pinion::ipam::schedule {

using Bodies = std::vector<std::function<void()>>;

template <class Protocol>
struct Scenario {
  const char* name;
  Shape shape;
  Bodies (*prepare)(World<Protocol>&);
  // Kills are tried besides preemptions, with as many of those.
  Scheduler::Limits limits = {.preemptions = 3, .kills = 0};
};

struct Outcome {
  uint64_t schedules = 0;
  std::string failure;  // empty if every schedule was right
};

template <class Protocol>
Outcome Explore(const Scenario<Protocol>& scenario) {
  Scheduler scheduler(scenario.limits);
  do {
    World<Protocol> world(scenario.shape);
    const Bodies bodies = scenario.prepare(world);
    scheduler.Run(bodies, [&world] { world.Observe(); });
    int kills = 0;
    for (size_t i = 0; i < bodies.size(); ++i) {
      if (scheduler.killed(static_cast<int>(i))) ++kills;
    }
    world.Check(kills);
    if (!world.failure().empty()) {
      return {scheduler.runs(),
              world.failure() + " (choices " + scheduler.Describe() + ")"};
    }
  } while (scheduler.Next());
  return {scheduler.runs(), ""};
}

// Two addresses, three that want one; all owners in one bucket.
template <class P>
Bodies TwoForThree(World<P>& world) {
  Bodies bodies;
  for (uint64_t owner = 1; owner <= 3; ++owner) {
    bodies.push_back([&world, owner] {
      if (world.Claim(owner)) world.Release(owner);
    });
  }
  return bodies;
}

// One owner is looked for, and one that never was, while two others of the
// bucket move. Its entry was lost in a kill.
template <class P>
Bodies FindAmongOthers(World<P>& world) {
  world.Claim(1);
  world.Claim(2);
  world.LoseEntries();
  return {[&world] {
            const auto held = world.table().Find(Owner(1));
            if (!held || held->index != 0) world.Fail("owner 1 is not found");
            if (world.table().Find(Owner(9))) world.Fail("9 is found");
          },
          [&world] {
            world.Release(2);
            world.Claim(2);
          },
          [&world] {
            world.Claim(3);
            world.Release(3);
          }};
}

// One of two addresses is always free, but not always the same one, and the
// map shows neither.
template <class P>
Bodies TheFreeAddressMoves(World<P>& world) {
  world.Claim(1);
  world.Forget(1);
  world.HideAll();
  world.SetCursor(0);
  return {[&world] { world.Claim(2); }, [&world] { world.Move(1, 0, 1); },
          [&world] {
            world.Move(1, 1, 0);
            world.Move(1, 0, 1);
          }};
}

// Claims make both words full, and a sweep empties one, at the same time.
template <class P>
Bodies SweepWhileClaiming(World<P>& world) {
  world.Claim(1);
  world.Claim(2);
  world.Forget(2);
  return {[&world] {
            world.table().Sweep(
                [](Owner owner) { return owner.token() % 2 == 1; },
                world.now_ms);
          },
          [&world] {
            world.table().Claim(Owner(4), [&world] { return world.now_ms; });
          },
          [&world] { world.Claim(3); }};
}

// A lease that goes out of scope after a sweep has taken its address and the
// same owner has claimed it again.
template <class P>
Bodies StaleLease(World<P>& world) {
  const auto lease = world.Claim(1);
  world.Forget(1);
  return {
      [&world, lease] {
        world.table().ReleaseSlot(*lease, slot::RolledBack(lease->word));
      },
      [&world, lease] {
        world.table().Sweep(
            [&world, lease](Owner) { return world.WordOf(0) != lease->word; },
            world.now_ms);
      },
      [&world] { world.Claim(1); }};
}

// Time passes while an address cools down.
template <class P>
Bodies CoolingDown(World<P>& world) {
  world.Claim(1);
  const auto released_ms = std::make_shared<uint64_t>(0);
  return {[&world, released_ms] {
            *released_ms = world.now_ms;
            world.Release(1);
          },
          [&world, released_ms] {
            // Refused at first, perhaps.
            for (int i = 0; i < 2; ++i) {
              if (!world.Claim(2)) continue;
              if (world.now_ms < *released_ms + 10) {
                world.Fail("claimed before it had cooled down");
              }
              return;
            }
          },
          [&world] {
            Scheduler::Point();
            world.now_ms += 10;
          }};
}

// One address by name, any, and none any more.
template <class P>
Bodies ByName(World<P>& world) {
  world.Claim(3);
  return {[&world] {
            const uint64_t word = world.table().ClaimSlot(Owner(1), 0).word;
            if (slot::TagOf(word) != slot::Tag::kOwned) {
              world.Fail("free, and not claimed");
            }
            if (!slot::IsOwnedBy(word, Owner(1))) return;
            // Claimed already: once.
            if (world.table().ClaimSlot(Owner(1), 0).word != word) {
              world.Fail("claimed twice");
            }
          },
          [&world] { world.Claim(2); }, [&world] { world.Release(3); }};
}

// An address is named and given back: a cool-down that has begun goes on.
template <class P>
Bodies NamedAndGivenBack(World<P>& world) {
  const auto released = std::make_shared<bool>(false);
  return {[&world] {
            const auto claim = world.table().ClaimSlot(Owner(1), 0);
            if (claim.word == claim.before) return;
            world.table().ReleaseSlot(
                {0, claim.word}, slot::RolledBack(claim.word, claim.before));
          },
          [&world, released] {
            if (!world.Claim(2)) return;
            *released = true;
            world.Release(2);
          },
          [&world, released] {
            if (world.Claim(3) && *released) {
              world.Fail("claimed before it had cooled down");
            }
          }};
}

// A process opens the pool while others use it.
template <class P>
Bodies Rebuild(World<P>& world) {
  world.Claim(1);
  return {[&world] { world.table().RebuildMap(); },
          [&world] { world.Release(1); }, [&world] { world.Claim(2); }};
}

template <class P>
std::vector<Scenario<P>> Scenarios() {
  // Two words of the bitmap, two addresses in each.
  const Shape two_words = {.slots = 66, .usable = {0, 1, 64, 65}};
  const Shape one = {.slots = 1, .usable = {0}};
  const Shape three = {.slots = 3, .usable = {0, 1, 2}};
  const Scheduler::Limits kills = {.preemptions = 2, .kills = 1};
  return {
      {"TheFreeAddressMoves",
       {},
       TheFreeAddressMoves,
       {.preemptions = 4, .kills = 0}},
      {"TwoForThree", {}, TwoForThree},
      {"TwoForThreeKills", {}, TwoForThree, kills},
      {"FindAmongOthers", three, FindAmongOthers},
      {"SweepWhileClaiming", two_words, SweepWhileClaiming},
      {"SweepWhileClaimingKills", two_words, SweepWhileClaiming, kills},
      {"StaleLease", one, StaleLease},
      {"CoolingDown",
       {.slots = 1, .usable = {0}, .buckets = 1, .cooldown_ms = 10},
       CoolingDown},
      {"ByName", {}, ByName},
      {"NamedAndGivenBack",
       {.slots = 1, .usable = {0}, .buckets = 1, .cooldown_ms = 10},
       NamedAndGivenBack},
      {"ByNameKills", {}, ByName, kills},
      {"Rebuild", {}, Rebuild},
  };
}

}  // namespace pinion::ipam::schedule

#endif  // PINION_TESTS_UNIT_IPAM_SCHEDULE_SCENARIOS_H_
