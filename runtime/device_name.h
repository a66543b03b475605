// What a block device is called: "/dev/vda1" for 254:1.
//
// Thread-safe.

#ifndef PINION_RUNTIME_DEVICE_NAME_H_
#define PINION_RUNTIME_DEVICE_NAME_H_

#include <cstdint>
#include <string>

namespace pinion::runtime {

// From sysfs. "254:1" if it is no block device that has a name (overlayfs,
// tmpfs, btrfs have numbers of their own).
std::string BlockDeviceName(uint32_t major, uint32_t minor);

}  // namespace pinion::runtime

#endif  // PINION_RUNTIME_DEVICE_NAME_H_
