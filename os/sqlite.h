// SQLite with our error convention: one connection, prepared statements.
//
// A Database is thread-safe in the sense that every call takes its mutex; a
// Transaction holds it from Begin to Commit or destruction. Statements are
// prepared once and cached by their text, so pass literals.

#ifndef PINION_OS_SQLITE_H_
#define PINION_OS_SQLITE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

struct sqlite3;
struct sqlite3_stmt;

namespace pinion::os {

// Blobs are passed as std::string; texts as std::string_view.
struct SqlBlob {
  std::string_view bytes;
};
using SqlValue = std::variant<int64_t, std::string_view, SqlBlob>;

// The current row of a query; valid only inside the callback.
class SqlRow {
 public:
  explicit SqlRow(sqlite3_stmt* statement) : statement_(statement) {}
  int64_t Int(int column) const;
  std::string Text(int column) const;  // also blobs
 private:
  sqlite3_stmt* statement_;
};

class Database {
 public:
  enum class Sync {
    // A commit survives the death of the process, not a power cut.
    kNormal,
    // A commit survives a power cut (fdatasync of the log).
    kFull,
  };

  // Opens or creates the file in WAL mode, and reserves what log it needs, so
  // that a disk which fills up later keeps nobody from recording that
  // something is gone. DataLoss if the file is no database.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path,
                                                        Sync sync);

  // Whether the file holds together; one that does not exist does. DataLoss
  // with what is wrong if not.
  static absl::Status Check(const std::string& path);

  // Renames a damaged file and its log to PATH.corrupt-<nanoseconds>, which
  // is returned, to be looked at with sqlite3's .recover. Nobody has it open.
  static absl::StatusOr<std::string> SetAside(const std::string& path);

  ~Database();

  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // One statement with its parameters, in its own transaction.
  absl::Status Execute(std::string_view sql,
                       std::initializer_list<SqlValue> values = {});
  absl::Status Query(std::string_view sql,
                     std::initializer_list<SqlValue> values,
                     const std::function<void(const SqlRow&)>& row);

  // Runs `body` inside one transaction; rolled back if it fails. Inside, use
  // the Execute and Query of the argument only.
  class Transaction;
  absl::Status InTransaction(
      const std::function<absl::Status(Transaction&)>& body);

 private:
  Database(sqlite3* db, std::string path);

  absl::Status Run(std::string_view sql, const SqlValue* values, size_t count,
                   const std::function<void(const SqlRow&)>* row)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Error(int code, std::string_view what) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Mutex mutex_;
  sqlite3* db_ ABSL_GUARDED_BY(mutex_);
  const std::string path_;
  std::map<std::string, sqlite3_stmt*, std::less<>> statements_
      ABSL_GUARDED_BY(mutex_);
};

class Database::Transaction {
 public:
  absl::Status Execute(std::string_view sql,
                       std::initializer_list<SqlValue> values = {});
  absl::Status Query(std::string_view sql,
                     std::initializer_list<SqlValue> values,
                     const std::function<void(const SqlRow&)>& row);

 private:
  friend class Database;
  explicit Transaction(Database* db) : db_(db) {}
  Database* db_;
};

}  // namespace pinion::os

#endif  // PINION_OS_SQLITE_H_
