// The entry point of the nonewprivs image, installed setuid root: prints the
// effective user id, which tells whether set-user-ID bits were honoured.
#include <stdio.h>
#include <unistd.h>

int main(void) { return printf("Effective uid: %u\n", geteuid()) < 0; }
