#include "runtime/records.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <filesystem>

#include "os/sqlite.h"
#include "runtime/record_cell.h"
#include "tests/support/eventually.h"

namespace pinion::runtime {
namespace {

class RecordsTest : public testing::Test {
 protected:
  RecordsTest() {
    char name[] = "/tmp/pn-records-XXXXXX";
    dir_ = mkdtemp(name);
  }
  ~RecordsTest() override { std::filesystem::remove_all(dir_); }

  void Load(Records& records) {
    pods_.clear();
    containers_.clear();
    damaged_.clear();
    const absl::Status status = records.Load(&pods_, &containers_, &damaged_);
    ASSERT_TRUE(status.ok()) << status;
  }

  std::string Path() const { return dir_ + "/state.db"; }

  std::string dir_;
  std::vector<state::PodRecord> pods_;
  std::vector<state::ContainerRecord> containers_;
  std::vector<std::string> damaged_;
};

state::ContainerRecord MakeContainer(const std::string& id, uint64_t revision) {
  state::ContainerRecord record;
  record.set_id(id);
  record.set_pod_id("p");
  record.set_revision(revision);
  return record;
}

TEST_F(RecordsTest, WhatWasSavedIsLoaded) {
  state::PodRecord pod;
  pod.set_id("p");
  pod.mutable_spec()->set_name("web");
  {
    auto records = *Records::Open(Path());
    ASSERT_TRUE(records->Save(pod).ok());
    ASSERT_TRUE(records->Save(MakeContainer("c", 1)).ok());
  }
  auto records = *Records::Open(Path());
  Load(*records);
  ASSERT_EQ(pods_.size(), 1U);
  EXPECT_EQ(pods_[0].spec().name(), "web");
  ASSERT_EQ(containers_.size(), 1U);
  ASSERT_TRUE(records->DeletePod("p").ok());
  ASSERT_TRUE(records->DeleteContainer("c").ok());
  Load(*records);
  EXPECT_TRUE(pods_.empty());
  EXPECT_TRUE(containers_.empty());
}

TEST_F(RecordsTest, AnOlderRevisionNeverReplacesANewerOne) {
  auto records = *Records::Open(Path());
  state::ContainerRecord newer = MakeContainer("c", 5);
  newer.set_reason("newer");
  ASSERT_TRUE(records->Save(newer).ok());
  ASSERT_TRUE(records->Save(MakeContainer("c", 4)).ok());
  Load(*records);
  EXPECT_EQ(containers_.at(0).reason(), "newer");
}

TEST_F(RecordsTest, ALateSaveDoesNotBringADeletedRecordBack) {
  {
    auto records = *Records::Open(Path());
    ASSERT_TRUE(records->Save(MakeContainer("kept", 1)).ok());
    records->SaveLater(
        std::make_shared<state::ContainerRecord>(MakeContainer("deleted", 2)));
    auto kept = MakeContainer("kept", 2);
    kept.set_reason("late");
    records->SaveLater(std::make_shared<state::ContainerRecord>(kept));
  }  // the destructor writes what is queued
  auto records = *Records::Open(Path());
  Load(*records);
  ASSERT_EQ(containers_.size(), 1U);
  EXPECT_EQ(containers_[0].id(), "kept");
  EXPECT_EQ(containers_[0].reason(), "late");
}

// As of a disk that is full for a while.
TEST_F(RecordsTest, ALateSaveThatFailsIsTriedAgain) {
  auto records = *Records::Open(Path());
  for (const char* id : {"newer", "old"}) {
    ASSERT_TRUE(records->Save(MakeContainer(id, 1)).ok());
  }
  auto db = *os::Database::Open(Path(), os::Database::Sync::kNormal);
  ASSERT_TRUE(db->Execute("CREATE TRIGGER full BEFORE UPDATE ON "
                          "runtime_containers BEGIN "
                          "SELECT RAISE(ABORT, 'full'); END")
                  .ok());
  const auto save = [&](const char* id, uint64_t revision,
                        const std::string& reason) {
    auto record = MakeContainer(id, revision);
    record.set_reason(reason);
    records->SaveLater(std::make_shared<state::ContainerRecord>(record));
  };
  int log[2];
  ASSERT_EQ(pipe2(log, O_CLOEXEC), 0);
  const int console = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
  dup2(log[1], STDERR_FILENO);
  save("old", 2, "late");
  // It has failed, and says so.
  pollfd said = {log[0], POLLIN, 0};
  EXPECT_EQ(poll(&said, 1, 60'000), 1);
  dup2(console, STDERR_FILENO);
  save("newer", 3, "later");
  ASSERT_TRUE(db->Execute("DROP TRIGGER full").ok());
  EXPECT_TRUE(testing_support::Eventually([&] {
    Load(*records);
    return containers_.size() == 2 && containers_[0].reason() == "later" &&
           containers_[1].reason() == "late";
  }));
  for (const int fd : {log[0], log[1], console}) close(fd);
}

TEST_F(RecordsTest, DamagedRowsArePutAsideAndTheRestServed) {
  {
    auto records = *Records::Open(Path());
    ASSERT_TRUE(records->Save(MakeContainer("good", 1)).ok());
  }
  {
    auto db = *os::Database::Open(Path(), os::Database::Sync::kNormal);
    ASSERT_TRUE(db->Execute("INSERT INTO runtime_containers VALUES "
                            "('bad', 1, x'ffffffff')")
                    .ok());
  }
  auto records = *Records::Open(Path());
  Load(*records);
  EXPECT_EQ(containers_.size(), 1U);
  EXPECT_EQ(damaged_, std::vector<std::string>{"runtime_containers/bad"});
  Load(*records);
  EXPECT_TRUE(damaged_.empty()) << "reported once";
}

TEST(RecordCellTest, SnapshotsDoNotChangeUnderTheReader) {
  RecordCell<state::ContainerRecord> cell(MakeContainer("c", 0));
  const auto before = cell.Get();
  cell.Update([](auto& r) {
    r.set_reason("changed");
    return true;
  });
  EXPECT_EQ(before->reason(), "");
  EXPECT_EQ(cell.Get()->reason(), "changed");
  EXPECT_EQ(cell.Get()->revision(), 1U);
  cell.Update([](auto& r) {
    r.set_reason("refused");
    return false;
  });
  EXPECT_EQ(cell.Get()->reason(), "changed");
}

TEST(RecordCellTest, AwaitSeesTheChangeOrTheDeadline) {
  RecordCell<state::ContainerRecord> cell(MakeContainer("c", 0));
  const auto done = [](const auto& r) { return r.reason() == "done"; };
  EXPECT_FALSE(cell.Await(done, std::chrono::steady_clock::now()));
  std::thread changer([&cell] {
    cell.Update([](auto& r) {
      r.set_reason("done");
      return true;
    });
  });
  EXPECT_TRUE(cell.Await(
      done, std::chrono::steady_clock::now() + std::chrono::minutes(1)));
  changer.join();
}

}  // namespace
}  // namespace pinion::runtime
