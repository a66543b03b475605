// ipcs -m: lists the System V shared memory segments of the IPC namespace.
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>

int main(int argc, char** argv) {
  if (argc != 2 || strcmp(argv[1], "-m") != 0) {
    fprintf(stderr, "usage: ipcs -m\n");
    return 2;
  }
  struct shm_info info;
  // Returns the highest index in use, -1 where there is none.
  int last = shmctl(0, SHM_INFO, (struct shmid_ds*)&info);
  printf("%-10s %-10s %-10s %-6s %-12s\n", "key", "shmid", "owner", "perms",
         "bytes");
  for (int index = 0; index <= last; ++index) {
    struct shmid_ds segment;
    int id = shmctl(index, SHM_STAT, &segment);
    if (id < 0) continue;
    printf("0x%08x %-10d %-10u %-6o %-12zu\n", (unsigned)segment.shm_perm.__key,
           id, segment.shm_perm.uid, (unsigned)segment.shm_perm.mode & 0777,
           segment.shm_segsz);
  }
  return 0;
}
