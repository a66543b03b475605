#include "runtime/monitor/cri_log.h"

#include <cstdlib>
#include <cstring>

namespace pinion::monitor {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kDay = 86'400;
constexpr char kNewline[] = "\n";

void PutDigits(char* text, size_t count, uint64_t value) {
  for (size_t i = count; i > 0; --i) {
    text[i - 1] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
}

struct Date {
  uint64_t year;
  uint64_t month;
  uint64_t day;
};

// The proleptic Gregorian calendar, counted in years that begin on 1 March,
// so that the leap day is a year's last. gmtime_r(3) would bring in the
// library's time zones.
Date DateOf(uint64_t days_since_epoch) {
  const uint64_t days = days_since_epoch + 719'468;  // since 0000-03-01
  const uint64_t era = days / 146'097;               // 400 years
  const uint64_t of_era = days % 146'097;
  const uint64_t year_of_era =
      (of_era - of_era / 1'460 + of_era / 36'524 - of_era / 146'096) / 365;
  const uint64_t of_year =
      of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const uint64_t march_month = (5 * of_year + 2) / 153;
  Date date = {};
  date.day = of_year - (153 * march_month + 2) / 5 + 1;
  date.month = march_month < 10 ? march_month + 3 : march_month - 9;
  date.year = era * 400 + year_of_era + (date.month <= 2 ? 1 : 0);
  return date;
}

}  // namespace

void FormatTimestamp(int64_t wall_ns, char* text) {
  const uint64_t ns = wall_ns < 0 ? 0 : static_cast<uint64_t>(wall_ns);
  const uint64_t seconds = ns / kSecond;
  const Date date = DateOf(seconds / kDay);
  const uint64_t of_day = seconds % kDay;
  memcpy(text, "0000-00-00T00:00:00.000000000Z", kTimestampLength);
  PutDigits(text, 4, date.year);
  PutDigits(text + 5, 2, date.month);
  PutDigits(text + 8, 2, date.day);
  PutDigits(text + 11, 2, of_day / 3600);
  PutDigits(text + 14, 2, of_day / 60 % 60);
  PutDigits(text + 17, 2, of_day % 60);
  PutDigits(text + 20, 9, ns % kSecond);
}

void LogBatch::Start(int64_t wall_ns, const char* stream) {
  count_ = 0;
  lines_ = 0;
  bytes_ = 0;
  FormatTimestamp(wall_ns, full_);
  size_t at = kTimestampLength;
  full_[at++] = ' ';
  for (const char* c = stream; *c != '\0' && at < kMaxHeader - 3; ++c) {
    full_[at++] = *c;
  }
  full_[at++] = ' ';
  full_[at++] = 'F';
  full_[at++] = ' ';
  header_size_ = at;
  memcpy(partial_, full_, at);
  partial_[at - 2] = 'P';
}

bool LogBatch::IsLineStart(size_t part) const {
  const void* base = parts_[part].iov_base;
  return base == full_ || base == partial_;
}

void LogBatch::Add(const char* data, size_t size) {
  if (size == 0) return;
  parts_[count_].iov_base = const_cast<char*>(data);
  parts_[count_].iov_len = size;
  ++count_;
  bytes_ += size;
}

void LogBatch::StartLine(bool partial) {
  ++lines_;
  Add(partial ? partial_ : full_, header_size_);
}

CriLogFormatter::~CriLogFormatter() { free(pending_); }

size_t CriLogFormatter::Format(const char* data, size_t size, LogBatch* batch) {
  size_t at = 0;
  // Parts of the batch may point into pending_: it is not written to again
  // before the next call.
  bool pending_is_referenced = false;
  while (at < size && batch->HasRoom()) {
    const char* rest = data + at;
    const size_t room = kMaxLogLine - pending_size_;
    // One byte more than fits, to see whether the line ends just there.
    const size_t visible = size - at < room + 1 ? size - at : room + 1;
    const char* newline = static_cast<const char*>(memchr(rest, '\n', visible));
    size_t taken = 0;
    if (newline != nullptr) {
      taken = static_cast<size_t>(newline - rest) + 1;
      batch->StartLine(false);
      batch->Add(pending_, pending_size_);
      batch->Add(rest, taken);
    } else if (visible > room) {
      taken = room;
      batch->StartLine(true);
      batch->Add(pending_, pending_size_);
      batch->Add(rest, taken);
      batch->Add(kNewline, 1);
    } else {
      if (pending_is_referenced) break;
      if (pending_ == nullptr) {
        pending_ = static_cast<char*>(malloc(kMaxLogLine));
      }
      if (pending_ == nullptr) {
        batch->StartLine(true);
        batch->Add(rest, visible);
        batch->Add(kNewline, 1);
      } else {
        memcpy(pending_ + pending_size_, rest, visible);
        pending_size_ += visible;
      }
      return size;
    }
    at += taken;
    pending_is_referenced = pending_is_referenced || pending_size_ > 0;
    pending_size_ = 0;
  }
  return at;
}

void CriLogFormatter::Finish(LogBatch* batch) {
  if (pending_size_ == 0) return;
  batch->StartLine(true);
  batch->Add(pending_, pending_size_);
  batch->Add(kNewline, 1);
  pending_size_ = 0;
}

}  // namespace pinion::monitor
