#include "tests/unit/ipam/history/history.h"

#include <algorithm>
#include <tuple>

namespace pinion::ipam::history {
namespace {

std::string Describe(const Episode& episode) {
  return "owner " + std::to_string(episode.owner) + " (claim " +
         std::to_string(episode.claim_begin) + "-" +
         std::to_string(episode.claim_end) + ", release " +
         std::to_string(episode.release_begin) + "-" +
         std::to_string(episode.release_end) + ")";
}

// Episodes of one address can follow each other in one order only, that of
// their claims' ends: if F's claim ended after E's, F's release began later
// still, so F cannot have been over before E's claim was. Each step is taken as
// early as it can be.
std::string CheckOwners(const std::vector<Episode>& episodes) {
  uint64_t free_since = 0;
  for (size_t i = 0; i < episodes.size(); ++i) {
    const Episode& episode = episodes[i];
    if (i == 0 || episodes[i - 1].address != episode.address) free_since = 0;
    const uint64_t claimed = std::max(free_since, episode.claim_begin);
    if (claimed > episode.claim_end) {
      return "address " + std::to_string(episode.address) + " belonged to " +
             Describe(episodes[i - 1]) + " and to " + Describe(episode);
    }
    free_since = std::max(claimed, episode.release_begin);
    if (free_since > episode.release_end) {
      return "a release that cannot be: " + Describe(episode);
    }
  }
  return "";
}

struct Stretch {
  uint64_t from;
  uint64_t to;
};

// When all addresses may have been owned. Of each, stretches in which it may
// have been are joined first.
std::vector<Stretch> MaybeFull(const History& history) {
  std::vector<std::pair<uint64_t, int>> steps;
  const auto add = [&steps](const Stretch& stretch) {
    steps.emplace_back(stretch.from, 1);
    steps.emplace_back(stretch.to + 1, -1);
  };
  Stretch owned = {0, 0};
  uint64_t address = ~uint64_t{0};
  for (const Episode& episode : history.episodes) {
    if (episode.address == address && episode.claim_begin <= owned.to) {
      owned.to = std::max(owned.to, episode.release_end);
      owned.from = std::min(owned.from, episode.claim_begin);
      continue;
    }
    if (address != ~uint64_t{0}) add(owned);
    address = episode.address;
    owned = {episode.claim_begin, episode.release_end};
  }
  if (address != ~uint64_t{0}) add(owned);
  std::sort(steps.begin(), steps.end());
  std::vector<Stretch> full;
  int64_t count = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    count += steps[i].second;
    // The state holds until the next step, at another tick.
    if (i + 1 < steps.size() && steps[i + 1].first == steps[i].first) continue;
    if (count < static_cast<int64_t>(history.addresses)) continue;
    full.push_back({steps[i].first, i + 1 < steps.size()
                                        ? steps[i + 1].first - 1
                                        : ~uint64_t{0}});
  }
  return full;
}

}  // namespace

std::string Check(History& history) {
  std::sort(history.episodes.begin(), history.episodes.end(),
            [](const Episode& a, const Episode& b) {
              return std::tie(a.address, a.claim_end) <
                     std::tie(b.address, b.claim_end);
            });
  if (std::string wrong = CheckOwners(history.episodes); !wrong.empty()) {
    return wrong;
  }
  const std::vector<Stretch> full = MaybeFull(history);
  for (const Refusal& refusal : history.refusals) {
    // The first stretch that ends behind the refusal's begin.
    const auto it = std::lower_bound(full.begin(), full.end(), refusal.begin,
                                     [](const Stretch& stretch, uint64_t tick) {
                                       return stretch.to < tick;
                                     });
    if (it == full.end() || it->from > refusal.end) {
      return "a claim was refused at " + std::to_string(refusal.begin) + "-" +
             std::to_string(refusal.end) + ", but an address was free";
    }
  }
  return "";
}

}  // namespace pinion::ipam::history
