// What the code after clone may call: system calls and functions on memory.
// Anything that could allocate, lock or print is a bug there, however
// harmless it looks (docs/child_rules.md).

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <set>
#include <sstream>
#include <string>

namespace pinion::launch {
namespace {

const std::set<std::string>& Allowed() {
  static const std::set<std::string> allowed = {
      // Wrappers of one system call each.
      "_exit", "chdir", "chroot", "close", "dup2", "execve", "fchdir", "fchown",
      "fchownat", "fcntl", "fsconfig", "fsmount", "fsopen", "fstat", "fstat64",
      "fstatat", "fstatat64", "fstatfs", "fstatfs64", "ioctl", "mkdirat",
      "mknodat", "mmap", "mmap64", "mount", "mount_setattr", "move_mount",
      "open", "open64", "open_tree", "prctl", "readlinkat", "sendmsg", "setns",
      "setsid", "symlinkat", "munmap", "recvmsg", "waitid", "syscall", "umask",
      "umount2", "unshare", "write", "fcntl64",
      // Memory and strings.
      "__errno_location", "memchr", "memcpy", "memmove", "memset", "strchr",
      "strchrnul", "strcmp", "strcpy", "strlen", "strncmp", "strncpy",
      "strrchr", "strspn",
      // What compilers add.
      "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"};
  return allowed;
}

bool IsOurs(const std::string& symbol) {
  return symbol.rfind("_ZN6pinion6launch", 0) == 0 ||
         symbol.rfind("_ZNK6pinion6launch", 0) == 0;
}

std::set<std::string> UndefinedSymbols(const std::string& object) {
  std::set<std::string> symbols;
  const std::string command = "nm -u '" + object + "'";
  std::unique_ptr<FILE, int (*)(FILE*)> nm(popen(command.c_str(), "r"), pclose);
  char line[512];
  while (nm != nullptr && fgets(line, sizeof(line), nm.get()) != nullptr) {
    std::istringstream words(line);
    std::string type, symbol;
    words >> type >> symbol;
    symbols.insert(symbol);
  }
  return symbols;
}

TEST(ChildSymbolsTest, OnlySystemCallsAndMemory) {
  std::istringstream objects(PINION_CHILD_OBJECTS);
  std::string object;
  int checked = 0;
  while (std::getline(objects, object, ':')) {
    const std::set<std::string> symbols = UndefinedSymbols(object);
    // Every one of them at least dies with a report, or is the plan reader.
    EXPECT_FALSE(symbols.empty()) << object;
    for (const std::string& symbol : symbols) {
      EXPECT_TRUE(IsOurs(symbol) || Allowed().count(symbol) > 0)
          << object << " uses " << symbol;
    }
    ++checked;
  }
  EXPECT_GE(checked, 12);
}

}  // namespace
}  // namespace pinion::launch
