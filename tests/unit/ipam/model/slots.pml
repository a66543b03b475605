/* The slot protocol (ipam/slot_table.h, docs/ipam.md) for Spin: two owners that
 * claim and release, one that is gone and is swept, SIGKILL between any two
 * steps, and whoever comes after a kill.
 *
 * Every access to a shared word is one step, as every atomic operation is one in
 * the code; the names are the code's. What is left out, and why that is sound:
 *  - The cursor, the entries and the search in the map are hints: here a search
 *    looks at any slots, which is all that hints can do.
 *  - Bitmap and summary are there to show that they hide nothing (MAP).
 *  - The cool-down is 0: a cooling slot is free at once.
 *  - All owners share one bucket, the worst case.
 *  - Memory is sequentially consistent; the orders are docs/ipam.md's part.
 *
 * MUTANT breaks one thing, which must be found. run.py says which
 * numbers, and in which settings of the switches below the model is run.
 */

#ifndef MUTANT
#define MUTANT 0
#endif
#ifndef KILLS
#define KILLS 0   /* how many */
#endif
#ifndef MAP
#define MAP 0     /* with bitmap and summary */
#endif
#ifndef SWEEP
#define SWEEP 0   /* an owner that is gone, and its sweeper */
#endif
#ifndef LEASE
#define LEASE 0   /* its lease, which goes out of scope */
#endif
#ifndef LATE
#define LATE 0    /* the rest of its claim, which had come to its slot */
#endif
#ifndef ALONE
#define ALONE 0   /* only owner 1, and no 2 */
#endif
#ifndef CALLS
#define CALLS 2   /* of owner 1: a claim, or a release of what it has */
#endif
#ifndef CALLS2
#define CALLS2 2  /* of owner 2 */
#endif

#define SLOTS 2
#define GONE 3     /* an owner that no pod has any more */
#define OWNERS 4   /* 0: nobody; 1 and 2; GONE */

#define OWNER(word) ((word) & 3)
#define GENERATION(word) ((word) >> 2)
#if MUTANT == 12
#define CLAIMED(word, owner) (((word) & 28) | (owner))
#else
#define CLAIMED(word, owner) ((((word) + 4) & 28) | (owner))
#endif
#define RELEASED(word) ((word) & 28)

byte slot[SLOTS];
byte count;  /* the ledger's; its count of changes is `changed` */
bool bitmap[SLOTS];
bool summary;

/* What no process sees. */
bool changed[OWNERS];  /* the ledger, since the owner read it */
bool none_free[OWNERS];  /* since the owner's call began, once at least */
byte kills;
bool killed[OWNERS];
bool ended[OWNERS];
byte running;

#define TAKEN(i) (OWNER(slot[i]) != 0)
#define NONE_FREE (TAKEN(0) && TAKEN(1))
#define HELD ((TAKEN(0) -> 1 : 0) + (TAKEN(1) -> 1 : 0))
#define HELD_BY(owner) \
  ((OWNER(slot[0]) == owner -> 1 : 0) + (OWNER(slot[1]) == owner -> 1 : 0))

/* After each change of a slot. */
inline Note() {
  if
  :: NONE_FREE -> none_free[1] = true; none_free[2] = true
  :: else
  fi;
  assert(count >= HELD);                      /* never too low */
  assert(HELD_BY(1) <= 1 && HELD_BY(2) <= 1)  /* one address per owner */
}

inline Raise() { d_step { count++; changed[1] = true; changed[2] = true } }
inline Lower() {
  d_step {
    count--;
    changed[1] = true;
    changed[2] = true;
    assert(count >= HELD)
  }
}

/* The caller makes it one step. */
inline Cas(i, old, new, done) {
  if
  :: slot[i] == old -> slot[i] = new; done = true; Note()
  :: else -> done = false
  fi
}

/* FreeMap::SetTaken and SetFree. */
inline SetFree(i) {
#if MAP
  if
  :: atomic { (MUTANT == 6 || !(bitmap[0] && bitmap[1])) -> bitmap[i] = false }
  :: atomic { else -> bitmap[i] = false };
     summary = false
  fi
#else
  skip
#endif
}
inline SetTaken(i) {
#if MAP
  if
  :: atomic { !bitmap[1 - (i)] -> bitmap[i] = true }
  :: atomic { else -> bitmap[i] = true };
     summary = true;
     if
     :: (MUTANT == 7 || (bitmap[0] && bitmap[1])) -> skip
     :: else -> summary = false
     fi
  fi;
  if
  :: (MUTANT == 5 || TAKEN(i)) -> skip
  :: else -> SetFree(i)
  fi
#else
  skip
#endif
}

/* TryClaim: `mine` is the claimed word if `done`, else what is there. */
inline TryClaim(i, owner) {
  atomic { done = false; mine = slot[i] }
  do
  :: OWNER(mine) != 0 -> break
  :: atomic {
       else ->
#if MUTANT == 1
       slot[i] = CLAIMED(mine, owner); done = true; Note();
#else
       Cas(i, mine, CLAIMED(mine, owner), done);
#endif
       if
       :: done -> mine = CLAIMED(mine, owner); at = i; break
       :: else -> mine = slot[i]
       fi
     }
  od
}

/* OwnerIndex::Find: `at` and `mine`, or at = SLOTS. */
inline Find(owner) {
  atomic {
    at = SLOTS; mine = 0; others = 0; k = 0;
    before = count; changed[owner] = false
  }
  do
  :: atomic {
       k < SLOTS && before > 0 && at == SLOTS ->
       if
       :: mine = slot[k];  /* an entry leads there */
          if
          :: OWNER(mine) == owner -> at = k
          :: OWNER(mine) != owner && OWNER(mine) != 0 -> others++; mine = 0
          :: else -> mine = 0
          fi
       :: skip  /* none does */
       fi;
       k++
     }
  :: else -> break
  od;
  if
  :: atomic { (before == 0 || at != SLOTS) -> k = SLOTS }
  :: atomic {
       else ->
       if
       :: (others >= before && (MUTANT == 4 || !changed[owner])) -> k = SLOTS
       :: else -> k = 0  /* by the slots */
       fi
     }
  fi;
  do
  :: atomic {
       k < SLOTS ->
       mine = slot[k];
       if
       :: OWNER(mine) == owner -> at = k; k = SLOTS
       :: else -> mine = 0; k++
       fi
     }
  :: else -> break
  od;
  atomic { k = 0; before = 0; others = 0; changed[owner] = true }
}

/* SlotTable::ReleaseSlot: `done` if the slot held the word. */
inline ReleaseSlot(i, word) {
#if MUTANT == 3
  Lower();
#endif
#if MUTANT == 8
  atomic { done = false; done = (slot[i] == word) }
  atomic {
    if
    :: done -> slot[i] = RELEASED(word); Note()
    :: else
    fi
  }
#else
  atomic { Cas(i, word, RELEASED(word), done) }
#endif
  if
  :: done ->
     SetFree(i);
#if MUTANT != 3
     Lower()
#endif
  :: else ->
#if MUTANT == 3
     Raise()
#else
     skip
#endif
  fi
}

/* SlotTable::Claim: `at` and `mine` if `done`, else it was refused. */
inline Claim(owner) {
  d_step { none_free[owner] = NONE_FREE; at = SLOTS; done = false }
#if MUTANT != 2
  Raise();
#endif
  /* By the map: any slot, or none. */
  if
  :: TryClaim(0, owner)
  :: TryClaim(1, owner)
  :: skip
  fi;
  do
  :: done -> break
  :: else ->
     /* By the slots, from anywhere, and once more. */
     if
     :: k = 0
     :: k = 1
     fi;
     TryClaim(k, owner);
     if
     :: done -> break
     :: else -> seen[k] = GENERATION(mine)
     fi;
     TryClaim(1 - k, owner);
     if
     :: done -> break
     :: else -> seen[1 - k] = GENERATION(mine)
     fi;
#if MUTANT == 9
     break
#else
     atomic {
       mine = slot[0];
       k = ((OWNER(mine) != 0 &&
             (MUTANT == 10 || GENERATION(mine) == seen[0])) -> 1 : 0)
     }
     atomic {
       mine = slot[1];
       if
       :: k == 1 && OWNER(mine) != 0 &&
          (MUTANT == 10 || GENERATION(mine) == seen[1]) -> break
       :: else
       fi
     }
#endif
  od;
  if
  :: done ->
#if MUTANT == 2
     Raise();
#endif
     SetTaken(at)
  :: else ->
     assert(none_free[owner]);  /* not with a free address all the time */
#if MUTANT != 2 && MUTANT != 11
     Lower()
#else
     skip
#endif
  fi;
  atomic { k = 0; seen[0] = 0; seen[1] = 0; none_free[owner] = true }
}

/* What the kubelet wants of one pod. A process that was killed takes no step
 * any more. */
proctype Owner(byte me) provided (!killed[me]) {
  byte at, mine, before, others, k, calls;
  byte seen[SLOTS];
  bool done;
  do
  :: calls < (me == 1 -> CALLS : CALLS2) ->
     calls++;
     Find(me);
     if
     :: at == SLOTS ->
        assert(HELD_BY(me) == 0);  /* found nothing, and there is nothing */
        Claim(me);
        assert(!done || slot[at] == mine)  /* nobody takes it away */
     :: else ->
        assert(slot[at] == mine);
        ReleaseSlot(at, mine);
        assert(done && HELD_BY(me) == 0)
     fi;
     atomic { at = 0; mine = 0; done = false }
  :: else -> break
  od;
  atomic { ended[me] = true; running-- }
}

#if KILLS
/* The next daemon, which is asked for the same pod. */
proctype Heir(byte me) {
  byte at, mine, before, others, k;
  byte seen[SLOTS];
  bool done;
  Find(me);
  assert(HELD_BY(me) == (at == SLOTS -> 0 : 1));
  if
  :: at == SLOTS -> Claim(me)
  :: else -> ReleaseSlot(at, mine)
  fi;
  running--
}

proctype Killer() {
  do
  :: atomic {
       kills < KILLS ->
       kills++;
       if
       :: !killed[1] && !ended[1] -> killed[1] = true; run Heir(1)
       :: !killed[2] && !ended[2] -> killed[2] = true; run Heir(2)
#if SWEEP
       :: !killed[GONE] && !ended[GONE] -> killed[GONE] = true; run Sweeper()
#endif
       :: else -> skip
       fi
     }
  :: else -> break
  od
}
#endif

#if SWEEP
/* Frees what GONE holds. */
proctype Sweeper() provided (_pid != 3 - ALONE || !killed[GONE]) {
  byte i, word;
  bool done;
  do
  :: i < SLOTS ->
     word = slot[i];
     if
     :: OWNER(word) == GONE ->
        ReleaseSlot(i, word);
        done = false
     :: else
     fi;
     atomic { i++; word = 0 }
  :: else -> break
  od;
  atomic { ended[GONE] = true; running-- }
}
#endif

#if LATE
proctype Claimed() {
  SetTaken(0);
  running--
}
#endif

#if LEASE
proctype Lease(byte word) {
  bool done;
  ReleaseSlot(0, word);
  running--
}
#endif

init {
  atomic {
    changed[1] = true;
    changed[2] = true;
    none_free[1] = true;
    none_free[2] = true;
    running = 1;
    run Owner(1);
#if ALONE
    ended[2] = true;
#else
    running++;
    run Owner(2);
#endif
#if SWEEP
    slot[0] = CLAIMED(0, GONE);
    count = 1;
    running++;
    run Sweeper();
#if LATE
    running++;
    run Claimed();
#else
    bitmap[0] = MAP;
#endif
#if LEASE
    running++;
    run Lease(slot[0]);
#endif
#endif
#if KILLS
    run Killer();
#endif
  }
  running == 0;
  assert(count >= HELD);
  assert(kills > 0 || count == HELD);
  /* Without kills the map hides nothing. */
  assert(kills > 0 || ((!bitmap[0] || TAKEN(0)) && (!bitmap[1] || TAKEN(1))));
  assert(kills > 0 || !summary || (bitmap[0] && bitmap[1]))
}
