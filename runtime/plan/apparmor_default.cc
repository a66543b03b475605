#include "runtime/plan/apparmor_default.h"

#include <string>

namespace pinion::plan {
namespace {

// Deny rules win over allow rules and know no exception, so what stays
// writable below /proc/sys and /sys is left out letter by letter.
constexpr char kRules[] = R"(
  # What capabilities, mounts and modes leave is for them to say.
  file,
  network,
  capability,

  # Anyone who may signal the container is judged by his own profile; the
  # container itself reaches those that are confined as it is.
  signal (receive),
  signal (send) peer=@NAME@,
  ptrace (readby),
  ptrace (read, trace, tracedby) peer=@NAME@,

  # The whole machine's memory, and a key that can stop it.
  deny /proc/{kcore,kmem,mem,sysrq-trigger} rwklx,

  # The files that lie in /proc itself, and what drivers keep there.
  deny /proc/* wkl,
  deny /proc/{acpi,asound,bus,driver,fs,irq,scsi,tty}/** wkl,

  # Of /proc/sys only what belongs to the container's own namespaces:
  # net/, fs/mqueue/, kernel/{msg*,sem*,shm*}.
  deny /proc/sys/[^fkn]** wkl,
  deny /proc/sys/fs/[^m]** wkl,
  deny /proc/sys/fs/m[^q]** wkl,
  deny /proc/sys/kernel/[^ms]** wkl,
  deny /proc/sys/kernel/m[^s]** wkl,
  deny /proc/sys/kernel/s[^eh]** wkl,
  deny /proc/sys/kernel/se[^m]** wkl,

  # Of /sys only /sys/fs/cgroup; firmware, power meters and security modules
  # are not even read.
  deny /sys/[^f]** wkl,
  deny /sys/f[^s]** wkl,
  deny /sys/fs/[^c]** wkl,
  deny /sys/fs/c[^g]** wkl,
  deny /sys/{firmware,kernel/security,devices/virtual/powercap}/** rwklx,
)";

}  // namespace

std::string DefaultAppArmorProfile() {
  constexpr std::string_view kName = "@NAME@";
  std::string rules = kRules;
  for (size_t at = rules.find(kName); at != std::string::npos;
       at = rules.find(kName, at)) {
    rules.replace(at, kName.size(), kDefaultAppArmorProfile);
  }
  // A container's files have no path from the node's root; those that were
  // deleted while open stay usable.
  return std::string("profile ") + kDefaultAppArmorProfile +
         " flags=(attach_disconnected,mediate_deleted) {" + rules + "}\n";
}

}  // namespace pinion::plan
