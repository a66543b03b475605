#include "os/sqlite.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace pinion::os {
namespace {

class SqliteTest : public testing::Test {
 protected:
  SqliteTest() {
    char name[] = "/tmp/pn-sqlite-XXXXXX";
    dir_ = mkdtemp(name);
  }
  ~SqliteTest() override { std::filesystem::remove_all(dir_); }
  std::string dir_;
};

int64_t Count(Database& db) {
  int64_t count = -1;
  EXPECT_TRUE(db.Query("SELECT COUNT(*) FROM t", {}, [&](const SqlRow& row) {
                  count = row.Int(0);
                }).ok());
  return count;
}

TEST_F(SqliteTest, TransactionsCommitOrLeaveNothing) {
  auto db = *Database::Open(dir_ + "/db", Database::Sync::kNormal);
  ASSERT_TRUE(db->Execute("CREATE TABLE t (k TEXT PRIMARY KEY, v BLOB)").ok());
  ASSERT_TRUE(db->Execute("INSERT INTO t VALUES (?, ?)",
                          {"a", SqlBlob{std::string_view("\0b", 2)}})
                  .ok());
  const absl::Status status = db->InTransaction([](auto& t) {
    EXPECT_TRUE(t.Execute("INSERT INTO t VALUES ('b', 'x')").ok());
    return t.Execute("INSERT INTO t VALUES ('a', 'again')");
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Count(*db), 1);
  std::string value;
  ASSERT_TRUE(
      db->Query("SELECT v FROM t WHERE k = ?", {"a"}, [&](const SqlRow& row) {
          value = row.Text(0);
        }).ok());
  EXPECT_EQ(value, std::string("\0b", 2));
}

TEST_F(SqliteTest, AForeignFileIsDataLoss) {
  std::ofstream(dir_ + "/db") << std::string(4096, 'x');
  EXPECT_EQ(Database::Open(dir_ + "/db", Database::Sync::kFull).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(Database::Check(dir_ + "/db").code(), absl::StatusCode::kDataLoss);
}

void FillTable(const std::string& path) {
  auto db = *Database::Open(path, Database::Sync::kNormal);
  ASSERT_TRUE(db->Execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v)").ok());
  const std::string value(1000, 'v');
  for (int64_t i = 0; i < 200; ++i) {
    ASSERT_TRUE(
        db->Execute("INSERT INTO t VALUES (?, ?)", {i, SqlBlob{value}}).ok());
  }
}

TEST_F(SqliteTest, ATruncatedFileIsSetAsideWithItsLog) {
  const std::string path = dir_ + "/db";
  EXPECT_TRUE(Database::Check(path).ok()) << "there is none yet";
  FillTable(path);
  EXPECT_TRUE(Database::Check(path).ok());
  std::filesystem::resize_file(path, 10'000);
  EXPECT_TRUE(Database::Check(path).ok()) << "the log has all of it";
  std::filesystem::resize_file(path, 10'000);
  std::ofstream(path + "-wal") << "no log";
  ASSERT_EQ(Database::Check(path).code(), absl::StatusCode::kDataLoss);

  const auto kept = Database::SetAside(path);
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(kept->rfind(path + ".corrupt-", 0), 0U) << *kept;
  EXPECT_EQ(std::filesystem::file_size(*kept), 10'000U);
  EXPECT_TRUE(std::filesystem::exists(*kept + "-wal"));
  for (const char* end : {"", "-wal", "-shm"}) {
    EXPECT_FALSE(std::filesystem::exists(path + end)) << end;
  }
  FillTable(path);
  EXPECT_TRUE(Database::Check(path).ok());
}

// A full disk must not keep anybody from recording what is gone: that is how
// it gets less full. In a thread with mounts of its own.
TEST_F(SqliteTest, RowsCanBeDeletedWhileTheDiskIsFull) {
  if (geteuid() != 0) GTEST_SKIP() << "mounting a small disk needs root";
  std::thread([this] {
    ASSERT_EQ(unshare(CLONE_FS | CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount("none", dir_.c_str(), "tmpfs", 0, "size=16m"), 0);
    FillTable(dir_ + "/db");
    // Also after a restart, with which the log is opened anew.
    auto db = *Database::Open(dir_ + "/db", Database::Sync::kFull);
    {
      std::ofstream filler(dir_ + "/filler", std::ios::binary);
      while (filler.write("0123456789abcdef", 16).flush()) {
      }
    }
    ASSERT_EQ(std::filesystem::space(dir_).available, 0U);
    for (int round = 0; round < 2; ++round) {
      for (int64_t i = 0; i < 100; ++i) {
        const absl::Status deleted =
            db->Execute("DELETE FROM t WHERE k = ?", {round * 100 + i});
        ASSERT_TRUE(deleted.ok()) << deleted;
      }
      db.reset();
      db = *Database::Open(dir_ + "/db", Database::Sync::kFull);
    }
    EXPECT_EQ(Count(*db), 0);
  }).join();
}

}  // namespace
}  // namespace pinion::os
