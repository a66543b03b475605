// A "host" of a network test: a network namespace of its own, loopback down as
// in every new one, that goes with the object. Nothing of the machine's own
// network is touched. Needs root.
//
// Thread-safe: what Run is given runs on the namespace's one thread.

#ifndef PINION_TESTS_SUPPORT_TEST_HOST_H_
#define PINION_TESTS_SUPPORT_TEST_HOST_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "os/unique_fd.h"

namespace pinion::testing_support {

class TestHost {
 public:
  // Ends the program if the namespace cannot be made.
  TestHost();
  // A network namespace that is there already, by its path in /proc: a pod's.
  explicit TestHost(const std::string& netns_path);
  ~TestHost();
  TestHost(const TestHost&) = delete;
  TestHost& operator=(const TestHost&) = delete;

  int netns_fd() const { return netns_.get(); }
  // A NETLINK_ROUTE socket of this namespace.
  int route_socket() const { return route_.get(); }

  // Runs `work` in the namespace and waits for it.
  void Run(const std::function<void()>& work);
  // A shell command in the namespace; its output. Ends the program if it
  // fails: a test bed that is not as written proves nothing.
  std::string Shell(const std::string& command);

 private:
  void Loop();
  void OpenNamespace();

  os::UniqueFd netns_;
  os::UniqueFd route_;
  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* work_ = nullptr;
  bool stopping_ = false;
  std::thread thread_;
};

// Joins two hosts by a cable: a veth pair, both ends named `name`, up.
void Connect(TestHost& a, TestHost& b, const std::string& name);

// Gives a device an address ("fd00::1/64") and waits until the host knows it
// as its own: with an IPv6 address that is some time after, from a work queue,
// even without a duplicate probe. Ends the program if that does not happen.
void AddAddress(TestHost& host, const std::string& device,
                const std::string& prefix);

// Whether `from` gets a TCP connection to `address` and one byte over it
// within `limit`; `to` is the host that listens there. It is tried again while
// no neighbour answers: the kernel lets a new IPv6 address hear solicitations a
// moment later, from a work queue.
bool Reaches(TestHost& from, TestHost& to, const std::string& address,
             std::chrono::seconds limit = std::chrono::seconds(30));

// The same to a port that is not the one that `to` listens on. The client's
// address as `to` sees it; empty if it is not reached.
std::string ReachesPort(TestHost& from, TestHost& to,
                        const std::string& address, uint16_t port,
                        uint16_t listen_port,
                        std::chrono::seconds limit = std::chrono::seconds(30));

}  // namespace pinion::testing_support

#endif  // PINION_TESTS_SUPPORT_TEST_HOST_H_
