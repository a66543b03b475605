#include "runtime/plan/seccomp_compact.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

namespace pinion::plan {
namespace {

using Program = std::vector<struct sock_filter>;

constexpr uint16_t kLoad = BPF_LD | BPF_W | BPF_ABS;
constexpr uint16_t kReturn = BPF_RET | BPF_K;
constexpr uint16_t kJump = BPF_JMP | BPF_JA;
constexpr uint16_t kAtLeast = BPF_JMP | BPF_JGE | BPF_K;
constexpr uint16_t kEqual = BPF_JMP | BPF_JEQ | BPF_K;
constexpr uint16_t kAnd = BPF_ALU | BPF_AND | BPF_K;
constexpr uint32_t kNumber = offsetof(struct seccomp_data, nr);
constexpr uint32_t kArchitecture = offsetof(struct seccomp_data, arch);

// x32 is x86-64 with this bit in the number.
constexpr uint32_t kQuarter = 0x40000000;

// What a call comes to by its architecture and number alone: a value to
// return, or the place where the program goes on to look at arguments. That
// place starts with a load, so nothing is handed over to it.
struct Outcome {
  bool returns = true;
  uint32_t value = 0;  // to return, or the index of the instruction

  bool operator<(const Outcome& other) const {
    return std::tie(returns, value) < std::tie(other.returns, other.value);
  }
  bool operator==(const Outcome& other) const {
    return returns == other.returns && value == other.value;
  }
};

bool IsConditional(const struct sock_filter& op) {
  return BPF_CLASS(op.code) == BPF_JMP && BPF_OP(op.code) != BPF_JA;
}

bool Holds(const struct sock_filter& op, uint32_t a) {
  switch (BPF_OP(op.code)) {
    case BPF_JEQ:
      return a == op.k;
    case BPF_JGT:
      return a > op.k;
    case BPF_JGE:
      return a >= op.k;
    default:
      return (a & op.k) != 0;
  }
}

// nullopt: the program holds something unexpected.
std::optional<Outcome> Evaluate(const Program& program, uint32_t arch,
                                uint32_t number) {
  uint32_t a = 0;
  for (size_t pc = 0; pc < program.size(); ++pc) {
    const struct sock_filter& op = program[pc];
    if (op.code == kReturn) return Outcome{true, op.k};
    if (op.code == kLoad) {
      if (op.k == kNumber) {
        a = number;
      } else if (op.k == kArchitecture) {
        a = arch;
      } else {
        return Outcome{false, static_cast<uint32_t>(pc)};
      }
    } else if (op.code == kAnd && op.k == ~kQuarter) {
      a &= op.k;
    } else if (op.code == kJump) {
      pc += op.k;
    } else if (IsConditional(op) && BPF_SRC(op.code) == BPF_K) {
      pc += Holds(op, a) ? op.jt : op.jf;
    } else {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

// Numbers at which a decision can change: beside the constants that numbers
// are compared with. x32's bit may have been taken off before, which moves
// whole quarters of the range, so each constant counts in each quarter.
std::vector<uint32_t> Breakpoints(const Program& program) {
  std::set<uint32_t> points = {0, kQuarter, 2 * kQuarter, 3 * kQuarter};
  for (const struct sock_filter& op : program) {
    if (!IsConditional(op)) continue;
    for (uint32_t quarter = 0; quarter < 4; ++quarter) {
      points.insert(op.k + quarter * kQuarter);
      points.insert(op.k + quarter * kQuarter + 1);
    }
  }
  return {points.begin(), points.end()};
}

struct Range {
  uint32_t first = 0;
  Outcome outcome;
};

std::optional<std::vector<Range>> Ranges(
    const Program& program, const std::vector<uint32_t>& breakpoints,
    uint32_t arch) {
  std::vector<Range> ranges;
  for (const uint32_t number : breakpoints) {
    const std::optional<Outcome> outcome = Evaluate(program, arch, number);
    if (!outcome.has_value()) return std::nullopt;
    if (ranges.empty() || !(ranges.back().outcome == *outcome)) {
      ranges.push_back({number, *outcome});
    }
  }
  return ranges;
}

// Instructions with labels for targets; Finish turns these into distances.
class Assembler {
 public:
  explicit Assembler(const Program& source) : source_(source) {}

  int NewLabel() { return next_label_++; }
  void Place(int label) { places_[label] = code_.size(); }

  void Load(uint32_t offset) { code_.push_back({{kLoad, 0, 0, offset}}); }
  void Branch(uint16_t code, uint32_t k, int yes, int no) {
    code_.push_back({{code, 0, 0, k}, yes, no});
  }
  void Jump(int label) { code_.push_back({{kJump, 0, 0, 0}, label}); }
  void Leave(const Outcome& outcome) {
    if (outcome.returns) {
      code_.push_back({{kReturn, 0, 0, outcome.value}});
    } else {
      code_.push_back({{kJump, 0, 0, 0}, SourceLabel(outcome.value)});
    }
  }

  // Copies what can be reached of the source from the places left for. Jumps
  // only go forward and the order stays, so no distance grows.
  void CopySource() {
    for (size_t pc = 0; pc < source_.size(); ++pc) {
      const auto label = source_labels_.find(static_cast<uint32_t>(pc));
      if (label == source_labels_.end()) continue;
      Place(label->second);
      const struct sock_filter op = source_[pc];
      if (op.code == kReturn) {
        code_.push_back({op});
      } else if (op.code == kJump) {
        code_.push_back({op, SourceLabel(pc + 1 + op.k)});
      } else if (IsConditional(op)) {
        code_.push_back(
            {op, SourceLabel(pc + 1 + op.jt), SourceLabel(pc + 1 + op.jf)});
      } else {
        code_.push_back({op});
        SourceLabel(pc + 1);
      }
    }
  }

  std::optional<Program> Finish() const {
    Program program;
    for (size_t i = 0; i < code_.size(); ++i) {
      struct sock_filter op = code_[i].op;
      if (IsConditional(op)) {
        const size_t yes = Distance(i, code_[i].yes);
        const size_t no = Distance(i, code_[i].no);
        if (yes > UINT8_MAX || no > UINT8_MAX) return std::nullopt;
        op.jt = static_cast<uint8_t>(yes);
        op.jf = static_cast<uint8_t>(no);
      } else if (op.code == kJump) {
        op.k = static_cast<uint32_t>(Distance(i, code_[i].yes));
      }
      program.push_back(op);
    }
    return program;
  }

 private:
  struct Instruction {
    struct sock_filter op;
    int yes = -1;
    int no = -1;
  };

  int SourceLabel(size_t pc) {
    const auto [at, fresh] =
        source_labels_.emplace(static_cast<uint32_t>(pc), next_label_);
    if (fresh) ++next_label_;
    return at->second;
  }
  size_t Distance(size_t from, int label) const {
    return places_.at(label) - from - 1;
  }

  const Program& source_;
  std::vector<Instruction> code_;
  int next_label_ = 0;
  std::map<int, size_t> places_;
  std::map<uint32_t, int> source_labels_;  // ordered: CopySource adds ahead
};

// Labels of the few outcomes that one architecture's ranges share.
using Outcomes = std::map<Outcome, int>;

// Searches ranges [first, last) and goes to the outcome's label.
void AssembleSearch(const std::vector<Range>& ranges, size_t first, size_t last,
                    const Outcomes& outcomes, Assembler& out) {
  const size_t middle = first + (last - first) / 2;
  auto target = [&](size_t from, size_t to) {
    return to - from == 1 ? outcomes.at(ranges[from].outcome) : out.NewLabel();
  };
  const int below = target(first, middle);
  const int above = target(middle, last);
  out.Branch(kAtLeast, ranges[middle].first, above, below);
  if (middle - first > 1) {
    out.Place(below);
    AssembleSearch(ranges, first, middle, outcomes, out);
  }
  if (last - middle > 1) {
    out.Place(above);
    AssembleSearch(ranges, middle, last, outcomes, out);
  }
}

void AssembleArchitecture(const std::vector<Range>& ranges, Assembler& out) {
  if (ranges.size() == 1) {
    out.Leave(ranges[0].outcome);
    return;
  }
  Outcomes outcomes;
  for (const Range& range : ranges) {
    if (outcomes.count(range.outcome) == 0) {
      outcomes[range.outcome] = out.NewLabel();
    }
  }
  out.Load(kNumber);
  AssembleSearch(ranges, 0, ranges.size(), outcomes, out);
  for (const auto& [outcome, label] : outcomes) {
    out.Place(label);
    out.Leave(outcome);
  }
}

// A value that is none of `architectures`.
uint32_t OtherArchitecture(const std::vector<uint32_t>& architectures) {
  uint32_t other = 0;
  while (std::find(architectures.begin(), architectures.end(), other) !=
         architectures.end()) {
    ++other;
  }
  return other;
}

}  // namespace

Program CompactSeccomp(const Program& program,
                       const std::vector<uint32_t>& architectures) {
  const std::vector<uint32_t> breakpoints = Breakpoints(program);
  Assembler out(program);
  std::vector<std::pair<int, std::vector<Range>>> sections;
  out.Load(kArchitecture);
  for (const uint32_t arch : architectures) {
    auto ranges = Ranges(program, breakpoints, arch);
    if (!ranges.has_value()) return program;
    const int section = out.NewLabel();
    const int hop = out.NewLabel();
    const int next = out.NewLabel();
    out.Branch(kEqual, arch, hop, next);
    out.Place(hop);
    out.Jump(section);  // reaches farther than a branch
    out.Place(next);
    sections.emplace_back(section, *std::move(ranges));
  }
  const auto other =
      Ranges(program, breakpoints, OtherArchitecture(architectures));
  if (!other.has_value()) return program;
  AssembleArchitecture(*other, out);
  for (const auto& [label, ranges] : sections) {
    out.Place(label);
    AssembleArchitecture(ranges, out);
  }
  out.CopySource();
  const std::optional<Program> compact = out.Finish();
  return compact.has_value() && compact->size() < program.size() ? *compact
                                                                 : program;
}

}  // namespace pinion::plan
