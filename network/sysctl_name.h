// How sysctl(8) calls a device's setting, for what is said to people.

#ifndef PINION_NETWORK_SYSCTL_NAME_H_
#define PINION_NETWORK_SYSCTL_NAME_H_

#include <string>

namespace pinion::network {

// "net.ipv4.conf.eth0.forwarding"; a device's dot is a slash there
// (sysctl.d(5)): "net.ipv4.conf.eth0/100.forwarding".
std::string Ipv4SettingName(const std::string& device,
                            const std::string& setting);

}  // namespace pinion::network

#endif  // PINION_NETWORK_SYSCTL_NAME_H_
