#include "os/sqlite.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

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
}

}  // namespace
}  // namespace pinion::os
