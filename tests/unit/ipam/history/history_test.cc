#include "tests/unit/ipam/history/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pinion::ipam::history {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(HistoryTest, OwnersInTurnAreRight) {
  History history = {.addresses = 1,
                     // The second claim waits for the first release, which has
                     // not answered yet.
                     .episodes = {{7, 1, 1, 2, 5, 9}, {7, 2, 4, 8, 10, 11}},
                     .refusals = {}};
  EXPECT_EQ(Check(history), "");
}

TEST(HistoryTest, TwoOwnersAtATimeAreFound) {
  History history = {.addresses = 1,
                     .episodes = {{7, 1, 1, 2, 9, 10}, {7, 2, 4, 8, 12, 13}},
                     .refusals = {}};
  EXPECT_THAT(Check(history), StartsWith("address 7 belonged to owner 1"));
  // Of another address it is right.
  history.episodes[1].address = 8;
  EXPECT_EQ(Check(history), "");
}

TEST(HistoryTest, AnOwnerBetweenTwoOthersIsFound) {
  // Each pair would do, not all three.
  History history = {.addresses = 1,
                     .episodes = {{7, 1, 1, 10, 11, 20},
                                  {7, 2, 2, 15, 16, 18},
                                  {7, 3, 3, 14, 17, 30}},
                     .refusals = {}};
  EXPECT_THAT(Check(history), HasSubstr("and to owner 2"));
}

TEST(HistoryTest, RefusalsNeedAFullPool) {
  // Full from 4, when 2 may have had its address, to 9.
  History history = {.addresses = 2,
                     .episodes = {{7, 1, 1, 2, 8, 9}, {8, 2, 4, 5, 20, 21}},
                     .refusals = {{3, 4}}};
  EXPECT_EQ(Check(history), "");
  history.refusals = {{9, 12}};
  EXPECT_EQ(Check(history), "");
  history.refusals = {{2, 3}};
  EXPECT_THAT(Check(history), StartsWith("a claim was refused at 2-3"));
  history.refusals = {{10, 30}};
  EXPECT_THAT(Check(history), StartsWith("a claim was refused at 10-30"));
  history.addresses = 3;
  history.refusals = {{3, 4}};
  EXPECT_THAT(Check(history), StartsWith("a claim was refused"));
}

// The free address moves, but there always is one.
TEST(HistoryTest, AFreeAddressThatMovesIsFree) {
  History history = {.addresses = 2,
                     .episodes = {{7, 1, 1, 2, 10, 11}, {8, 1, 12, 13, 20, 21}},
                     .refusals = {{5, 15}}};
  EXPECT_THAT(Check(history), StartsWith("a claim was refused at 5-15"));
}

}  // namespace
}  // namespace pinion::ipam::history
