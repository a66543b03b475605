#include "image/layer_store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/synchronization/notification.h"
#include "tests/support/scratch_dir.h"

namespace pinion::image {
namespace {

using NameList = std::vector<std::string>;

class LayerStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { Open({}); }

  void Open(const std::vector<LayerRecord>& records) {
    missing_.clear();
    store_.reset();
    auto store =
        LayerStore::Create(scratch_.path(), records, &cancel_, missing_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  static absl::Status Nothing(os::UniqueFd, LayerRecord&) {
    return absl::OkStatus();
  }

  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry :
         std::filesystem::directory_iterator(scratch_.path() + "/layers")) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  const Digest a_ = Sha256::Of("a");
  testing::ScratchDir scratch_;
  CancelToken cancel_;
  std::set<int64_t> missing_;
  std::unique_ptr<LayerStore> store_;
};

TEST_F(LayerStoreTest, DirectoriesAreShortNumbers) {
  EXPECT_EQ(LayerStore::DirectoryOf(17), "layers/17");
  EXPECT_EQ(LayerStore::NumberOf("layers/17"), 17);
  for (const char* text : {"", "17", "layers/", "layers/x", "layers/+1",
                           "layers/017", "layers/1/..", "layers/../1"}) {
    EXPECT_EQ(LayerStore::NumberOf(text), -1) << text;
  }
}

TEST_F(LayerStoreTest, AnUnpublishedLayerGoesWithItsLastLease) {
  {
    auto lease = store_->GetOrMake(a_, "", Nothing);
    ASSERT_TRUE(lease.ok());
    auto again = store_->GetOrMake(a_, "", [](os::UniqueFd, LayerRecord&) {
      return absl::InternalError("made twice");
    });
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->number(), lease->number());
    EXPECT_EQ(Names(), NameList{"tmp-1"});
  }
  EXPECT_TRUE(Names().empty());
}

TEST_F(LayerStoreTest, AFailedMakerLeavesNothing) {
  const auto lease =
      store_->GetOrMake(a_, "", [this](os::UniqueFd, LayerRecord&) {
        std::ofstream(scratch_.path() + "/layers/tmp-1/half") << "x";
        return absl::UnavailableError("reset");
      });
  EXPECT_TRUE(absl::IsUnavailable(lease.status()));
  EXPECT_TRUE(Names().empty());
}

TEST_F(LayerStoreTest, OthersWaitForTheMakerAndThenShare) {
  absl::Notification started;
  absl::Notification go_on;
  std::atomic<int> made{0};
  std::thread first([&] {
    const auto lease =
        store_->GetOrMake(a_, "", [&](os::UniqueFd, LayerRecord&) {
          ++made;
          started.Notify();
          go_on.WaitForNotification();
          return absl::UnavailableError("the first one fails");
        });
    EXPECT_FALSE(lease.ok());
  });
  started.WaitForNotification();
  std::vector<std::thread> others;
  for (int i = 0; i < 4; ++i) {
    others.emplace_back([&] {
      const auto lease =
          store_->GetOrMake(a_, "", [&](os::UniqueFd, LayerRecord&) {
            ++made;
            return absl::OkStatus();
          });
      EXPECT_TRUE(lease.ok());
    });
  }
  go_on.Notify();
  first.join();
  for (std::thread& other : others) other.join();
  EXPECT_GE(made, 2);
  EXPECT_TRUE(Names().empty());
}

TEST_F(LayerStoreTest, PublishedAndRecordedLayersWaitForTakeUnused) {
  {
    auto lease = store_->GetOrMake(a_, "", Nothing);
    ASSERT_TRUE(lease.ok());
    const auto records = store_->Publish({lease->number(), lease->number()});
    ASSERT_TRUE(records.ok());
    ASSERT_EQ(records->size(), 1u);
    store_->SetRecorded(*records);
    EXPECT_TRUE(store_->Publish({lease->number()})->empty());
    EXPECT_TRUE(store_->TakeUnused().empty());
  }
  EXPECT_EQ(Names(), NameList{"1"});
  const auto unused = store_->TakeUnused();
  ASSERT_EQ(unused.size(), 1u);
  ASSERT_TRUE(store_->Delete(unused).ok());
  EXPECT_TRUE(Names().empty());
}

TEST_F(LayerStoreTest, CreateRemovesWhatHasNoRecordAndReportsWhatIsMissing) {
  for (const char* name : {"1", "3", "tmp-4", "rubbish"}) {
    std::filesystem::create_directories(scratch_.path() + "/layers/" + name +
                                        "/inside");
  }
  LayerRecord one;
  one.number = 1;
  one.diff_id = a_.text();
  LayerRecord two;
  two.number = 2;
  Open({one, two});
  EXPECT_EQ(Names(), NameList{"1"});
  EXPECT_EQ(missing_, std::set<int64_t>{2});
  const auto lease = store_->GetOrMake(Sha256::Of("new"), "", Nothing);
  EXPECT_GT(lease->number(), 3);
}

TEST_F(LayerStoreTest, ALayerThatLeansOnOthersIsSharedOnlyAboveThem) {
  const auto make = [](os::UniqueFd, LayerRecord& record) {
    record.chain_id = "chain-1";
    return absl::OkStatus();
  };
  const auto first = store_->GetOrMake(a_, "chain-1", make);
  const auto same = store_->GetOrMake(a_, "chain-1", make);
  const auto other =
      store_->GetOrMake(a_, "chain-2", [](os::UniqueFd, LayerRecord& record) {
        record.chain_id = "chain-2";
        return absl::OkStatus();
      });
  EXPECT_EQ(first->number(), same->number());
  EXPECT_NE(first->number(), other->number());
}

TEST_F(LayerStoreTest, CancelWakesThoseWhoWait) {
  absl::Notification started;
  absl::Notification go_on;
  std::thread maker([&] {
    (void)store_->GetOrMake(a_, "", [&](os::UniqueFd, LayerRecord&) {
      started.Notify();
      go_on.WaitForNotification();
      return absl::OkStatus();
    });
  });
  started.WaitForNotification();
  std::thread waiter([&] {
    EXPECT_TRUE(absl::IsCancelled(store_->GetOrMake(a_, "", Nothing).status()));
  });
  cancel_.Cancel();
  store_->Wake();
  waiter.join();
  go_on.Notify();
  maker.join();
}

}  // namespace
}  // namespace pinion::image
