// pgrep NAME: prints the ids of the processes whose name (/proc/PID/comm)
// contains NAME, itself excepted. Exit code 0 if there was one, else 1.
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int NameContains(const char* pid, const char* wanted) {
  char path[64];
  char name[64] = "";
  snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
  FILE* file = fopen(path, "re");
  if (file == NULL) return 0;  // It has ended.
  if (fgets(name, sizeof(name), file) == NULL) name[0] = '\0';
  fclose(file);
  return strstr(name, wanted) != NULL;
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: pgrep NAME\n");
    return 2;
  }
  DIR* proc = opendir("/proc");
  if (proc == NULL) {
    perror("pgrep: /proc");
    return 3;
  }
  int found = 0;
  const struct dirent* entry;
  while ((entry = readdir(proc)) != NULL) {
    if (!isdigit((unsigned char)entry->d_name[0])) continue;
    if (atoi(entry->d_name) == getpid()) continue;
    if (!NameContains(entry->d_name, argv[1])) continue;
    puts(entry->d_name);
    found = 1;
  }
  closedir(proc);
  return found ? 0 : 1;
}
