// Stands in for nginx and httpd: answers every HTTP request with 200 and a
// small page.
//
//   webserver PORT [TITLE [PIDFILE]]
//
// TITLE becomes the command line that others see in /proc/PID/cmdline; the
// process name stays that of the file. It logs its start and each request to
// standard error, with its own name in front. SIGTERM, SIGQUIT, SIGINT and
// SIGWINCH (httpd's stop signal) end it with 0.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static void OnEnd(int number) {
  (void)number;
  _exit(0);
}

// The arguments live in the environment while argv is the title.
static void TakeTitle(int argc, char** argv) {
  char self[256];
  ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
  if (length < 0) return;
  self[length] = '\0';
  setenv("WEBSERVER_PORT", argv[1], 1);
  if (argc > 3) setenv("WEBSERVER_PIDFILE", argv[3], 1);
  execl(self, argv[2], (char*)NULL);
  perror("exec");
}

// IPv6 and IPv4 where the kernel has both, else IPv4.
static int Listen(unsigned short port) {
  struct sockaddr_in6 any6 = {.sin6_family = AF_INET6,
                              .sin6_port = htons(port)};
  struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons(port)};
  int one = 1;
  int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0) {
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr*)&any6, sizeof(any6)) == 0 &&
        listen(fd, 128) == 0) {
      return fd;
    }
    close(fd);
  }
  fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  if (bind(fd, (struct sockaddr*)&any4, sizeof(any4)) == 0 &&
      listen(fd, 128) == 0) {
    return fd;
  }
  close(fd);
  return -1;
}

static void Answer(int fd, const char* name) {
  // A client that sends nothing must not hold the others for long.
  struct timeval limit = {.tv_sec = 2};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  char request[4096];
  size_t have = 0;
  while (have < sizeof(request) - 1) {
    ssize_t got = recv(fd, request + have, sizeof(request) - 1 - have, 0);
    if (got <= 0) return;
    have += (size_t)got;
    request[have] = '\0';
    if (strstr(request, "\r\n\r\n") != NULL) break;
  }
  request[strcspn(request, "\r\n")] = '\0';

  char body[256];
  int size = snprintf(body, sizeof(body),
                      "<html><head><title>Welcome to %s!</title></head>"
                      "<body>It works.</body></html>\n",
                      name);
  char answer[512];
  int total = snprintf(answer, sizeof(answer),
                       "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
                       "Content-Length: %d\r\nConnection: close\r\n\r\n%s",
                       size, body);
  if (send(fd, answer, (size_t)total, MSG_NOSIGNAL) == total) {
    fprintf(stderr, "%s: 200 %s\n", name, request);
  }
}

int main(int argc, char** argv) {
  if (argc > 2) TakeTitle(argc, argv);
  const char* port_text = argc > 1 ? argv[1] : getenv("WEBSERVER_PORT");
  int port = port_text != NULL ? atoi(port_text) : 0;
  const char* name = program_invocation_short_name;
  char self[256];
  ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
  if (length > 0) {
    self[length] = '\0';
    name = strrchr(self, '/') + 1;
  }
  if (port <= 0 || port > 65535) {
    fprintf(stderr, "usage: %s PORT [TITLE [PIDFILE]]\n", name);
    return 2;
  }
  struct sigaction end = {.sa_handler = OnEnd};
  const int ends[] = {SIGTERM, SIGQUIT, SIGINT, SIGWINCH};
  for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); ++i) {
    sigaction(ends[i], &end, NULL);
  }
  int listener = Listen((unsigned short)port);
  if (listener < 0) {
    fprintf(stderr, "%s: cannot listen on port %d: %s\n", name, port,
            strerror(errno));
    return 1;
  }
  const char* pid_file = getenv("WEBSERVER_PIDFILE");
  if (pid_file != NULL) {
    FILE* file = fopen(pid_file, "we");
    if (file == NULL || fprintf(file, "%d\n", getpid()) < 0 ||
        fclose(file) != 0) {
      fprintf(stderr, "%s: %s: %s\n", name, pid_file, strerror(errno));
      return 1;
    }
  }
  fprintf(stderr, "%s: listening on port %d\n", name, port);
  for (;;) {
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (client < 0) {
      perror(name);
      return 1;
    }
    Answer(client, name);
    close(client);
  }
}
