#!/usr/bin/env python3
"""Writes mutants of the slot protocol: `mutants.py IPAM_DIR OUTPUT`.

Each is the protocol's three headers with one change, in a namespace of its
own, and must be caught by the schedule test. A text to change that is not
there, or more than once, is an error: the mutant would be the real protocol.
"""

import pathlib
import re
import sys

HEADERS = ["owner_index.h", "free_map.h", "slot_table.h"]

TRY_CLAIM = """      const uint64_t claimed = slot::Claimed(word, owner);
      if (slots_[index].compare_exchange_strong(word, claimed,
                                                std::memory_order_acq_rel,
                                                std::memory_order_acquire)) {
        word = claimed;
        return true;
      }"""

# Name, what is wrong, the text, what stands there instead.
MUTANTS = [
    ("ClaimWithoutCas", TRY_CLAIM,
     """      word = slot::Claimed(word, owner);
      slots_[index].store(word, std::memory_order_release);
      return true;"""),
    ("ClaimBeforeLedger",
     """    index_.Raise(owner);
    std::optional<HeldSlot> held = ClaimByMap(owner, now_ms());
    if (!held) held = ClaimBySlots(owner, now_ms);
    if (!held) {
      index_.Lower(owner);
      return std::nullopt;
    }
""",
     """    std::optional<HeldSlot> held = ClaimByMap(owner, now_ms());
    if (!held) held = ClaimBySlots(owner, now_ms);
    if (!held) return std::nullopt;
    index_.Raise(owner);
"""),
    ("RefusedClaimStaysCounted",
     """    if (!held) {
      index_.Lower(owner);
      return std::nullopt;
    }
""",
     """    if (!held) return std::nullopt;
"""),
    ("LedgerBeforeRelease",
     """    uint64_t expected = held.word;
    if (!slots_[held.index].compare_exchange_strong(
            expected, released, std::memory_order_release,
            std::memory_order_relaxed)) {
      return false;
    }
""",
     """    uint64_t expected = held.word;
    index_.Lower(slot::OwnerOf(held.word));
    if (!slots_[held.index].compare_exchange_strong(
            expected, released, std::memory_order_release,
            std::memory_order_relaxed)) {
      index_.Raise(slot::OwnerOf(held.word));
      return false;
    }
""",
     """    map_.SetFree(held.index);
    index_.Lower(owner);
""",
     """    map_.SetFree(held.index);
"""),
    ("ReleaseWithoutCas",
     """    if (!slots_[held.index].compare_exchange_strong(
            expected, released, std::memory_order_release,
            std::memory_order_relaxed)) {
      return false;
    }
""",
     """    if (slots_[held.index].load(std::memory_order_relaxed) != expected) {
      return false;
    }
    slots_[held.index].store(released, std::memory_order_release);
"""),
    ("SameGeneration", TRY_CLAIM,
     TRY_CLAIM.replace("slot::Claimed(word, owner)",
                       "slot::Make(slot::Tag::kOwned, "
                       "slot::GenerationOf(word), owner.token())")),
    ("NoSecondLookAtTheSlot",
     "    if (!still_taken()) SetFree(index);\n",
     "    (void)still_taken;\n"),
    ("NoSecondLookAtTheWord",
     "    if (!IsFull(at, bitmap_[at].load(std::memory_order_relaxed))) "
     "SetOpen(at);\n", ""),
    ("SummaryIsNotCleared",
     """    if (IsFull(at, before)) SetOpen(at);
  }

  // Makes""",
     """    (void)before;
  }

  // Makes"""),
    ("SummaryBeforeBitmap",
     """    const uint64_t before =
        bitmap_[at].fetch_and(~Bit(index), std::memory_order_release);
    if (IsFull(at, before)) SetOpen(at);
""",
     """    SetOpen(at);
    bitmap_[at].fetch_and(~Bit(index), std::memory_order_release);
"""),
    ("LedgerIsReadOnce",
     "      if (At(owner).ledger.load(std::memory_order_relaxed) == ledger) {",
     "      {"),
    ("EntriesAreTheTruth",
     "      if (others < (ledger & kLedgerCountMask)) break;\n", ""),
    ("OneLookBeforeRefusing",
     "    } while (!AllStillTaken(generations, now_ms()));",
     "    } while (false);"),
    ("SecondLookWithoutGenerations",
     """      if (!IsTaken(word, now_ms) ||
          slot::GenerationOf(word) != generations[i]) {""",
     """      (void)generations;
      if (!IsTaken(word, now_ms)) {"""),
    ("NoCoolDown",
     """           slot::IsCooling(word, now_ms, cooldown_ms_);
  }
""",
     """           (slot::IsCooling(word, now_ms, cooldown_ms_) && false);
  }
"""),
    ("ReleasePublishesNothing",
     """            expected, released, std::memory_order_release,
""",
     """            expected, released, std::memory_order_relaxed,
"""),
    ("ClaimAcquiresNothing",
     """    word = slots_[index].load(std::memory_order_acquire);
    while (!IsTaken""",
     """    word = slots_[index].load(std::memory_order_relaxed);
    while (!IsTaken""",
     TRY_CLAIM,
     TRY_CLAIM.replace("acq_rel", "release").replace("acquire", "relaxed")),
    ("WhatWasBeforeIsLookedUpFirst",
     """        NoteClaim({index, claimed});
        return {claimed, word};
""",
     """        NoteClaim({index, claimed});
        return {claimed, first};
""",
     """    uint64_t word = slots_[index].load(std::memory_order_acquire);
    while (slot::TagOf(word) != slot::Tag::kOwned) {
""",
     """    uint64_t word = slots_[index].load(std::memory_order_acquire);
    const uint64_t first = word;
    while (slot::TagOf(word) != slot::Tag::kOwned) {
"""),
    ("OnlyTheMap",
     "    if (!held) held = ClaimBySlots(owner, now_ms);\n", ""),
]


def body(text, name):
    """A header without guard, includes and namespace."""
    begin = text.index("namespace pinion::ipam {\n") + len(
        "namespace pinion::ipam {\n")
    end = text.rindex("}  // namespace pinion::ipam")
    found = text[begin:end]
    if not found.strip():
        raise SystemExit(f"mutants.py: nothing in {name}")
    return found


def mutate(name, changes, texts):
    texts = dict(texts)
    for old, new in zip(changes[::2], changes[1::2]):
        places = [header for header in HEADERS
                  for _ in range(texts[header].count(old))]
        if len(places) != 1:
            raise SystemExit(f"mutants.py: {name}: its text is there "
                             f"{len(places)} times")
        texts[places[0]] = texts[places[0]].replace(old, new)
    return "".join(body(texts[header], header) for header in HEADERS)


def main(ipam, output):
    texts = {name: pathlib.Path(ipam, name).read_text() for name in HEADERS}
    lines = ["// Made by mutants.py.\n",
             '#include "tests/unit/ipam/schedule/world.h"\n']
    for name, *changes in MUTANTS:
        lines += [f"namespace pinion::ipam::mutant_{name} {{\n",
                  mutate(name, changes, texts),
                  f"}}  // namespace pinion::ipam::mutant_{name}\n",
                  f"""namespace pinion::ipam::schedule {{
struct {name} {{
  static constexpr const char* kName = "{name}";
  using Table = mutant_{name}::SlotTable<SimAtomics>;
  using Memory = mutant_{name}::SlotMemory<SimAtomics>;
  using Bucket = mutant_{name}::OwnerBucket<SimAtomics>;
  using Held = mutant_{name}::HeldSlot;
}};
}}  // namespace pinion::ipam::schedule
"""]
    names = ", ".join(name for name, *_ in MUTANTS)
    lines.append(f"""namespace pinion::ipam::schedule {{
using Mutants = testing::Types<{names}>;
}}  // namespace pinion::ipam::schedule
""")
    text = "".join(lines)
    if re.search(r"^#include", "".join(lines[2:]), re.M):
        raise SystemExit("mutants.py: an include inside a namespace")
    pathlib.Path(output).write_text(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
