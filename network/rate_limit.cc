#include "network/rate_limit.h"

#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"

namespace pinion::network {
namespace {

// Two of the largest packets that TCP hands to a device (64 KiB): one that is
// larger than the burst is cut or, if it is no TCP, dropped.
constexpr uint64_t kLeastBurst = 128 << 10;
// What a fast device sends between two ticks of a kernel with 100 Hz.
constexpr uint64_t kBurstsPerSecond = 100;
// What may wait besides a burst: 25 ms' worth, which is what tc(8) shows as
// latency. With the bucket empty the last packet of a full queue waits for the
// burst, too: 156 ms at 8 Mbit/s, 1.1 s at 1 Mbit/s. Less room would lose the
// large packets of TCP.
constexpr uint64_t kQueuesPerSecond = 40;
constexpr uint64_t kMost = std::numeric_limits<uint32_t>::max();

}  // namespace

void AppendRateLimit(os::NetlinkBatch& batch, int index,
                     const std::string& name, uint64_t bits_per_second) {
  const uint64_t rate = std::max<uint64_t>(1, bits_per_second / 8);
  const uint64_t burst = std::max(kLeastBurst, rate / kBurstsPerSecond);
  tcmsg header{};
  header.tcm_family = AF_UNSPEC;
  header.tcm_ifindex = index;
  header.tcm_handle = TC_H_MAKE(1U << 16, 0U);
  header.tcm_parent = TC_H_ROOT;
  batch.Begin(
      RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, header,
      absl::StrCat("limit ", name, " to ", bits_per_second, " bit/s (tbf)"));
  batch.AddString(TCA_KIND, "tbf");
  batch.Nest(TCA_OPTIONS, [&] {
    tc_tbf_qopt options{};
    // Otherwise the kernel wants a table of times (TCA_TBF_RTAB).
    options.rate.linklayer = TC_LINKLAYER_ETHERNET;
    options.rate.rate = static_cast<uint32_t>(std::min(rate, kMost));
    options.limit =
        static_cast<uint32_t>(std::min(burst + rate / kQueuesPerSecond, kMost));
    batch.Add(TCA_TBF_PARMS, &options, sizeof(options));
    if (rate > kMost) batch.Add(TCA_TBF_RATE64, &rate, sizeof(rate));
    batch.AddU32(TCA_TBF_BURST, static_cast<uint32_t>(std::min(burst, kMost)));
  });
}

}  // namespace pinion::network
