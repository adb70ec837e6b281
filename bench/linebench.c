// linebench — load generator for a newline-framed echo protocol with a
// connection handshake.
//
//   client: "You ready?\n"      server: "Bring it!\n"   (else "No! Go away!\n" + close)
//   client: LINE\n              server: LINE\n          (in order, pipelining allowed)
//
// One thread, epoll, Linux only.  Every byte that comes back is compared with
// what must come back, so a wrong server cannot score.
//
//   gcc -O2 -Wall -Wextra -o linebench linebench.c      (npm run bench does this)
//
//   linebench pipeline  --port P [--pid PID] -c CONNS -d DEPTH -l LEN -s SECS -w WARMUP
//   linebench handshake --port P [--pid PID] -c LOOPS          -l LEN -s SECS -w WARMUP
//   linebench idle      --port P  --pid PID  -n CONNS [-s SETTLE] [--gc]
//   linebench bulk      --port P [--pid PID] -l LEN -d DEPTH -s SECS -w WARMUP
//   linebench dribble   --port P [--pid PID] -l LEN --piece 64 --gap-us G -r REPS
//   linebench verify    --port P [--pid PID]
//
// LEN is the length of a line without its '\n'.  Each run prints one JSON line.
// "cpu" figures are the server process's own CPU clock (all its threads), read
// through clock_getcpuclockid(2); they hold up on a noisy machine where the
// wall-clock figures do not.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HELLO "You ready?\n"
#define WELCOME "Bring it!\n"
#define REFUSAL "No! Go away!\n"

static void die(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  fprintf(stderr, "linebench: ");
  vfprintf(stderr, fmt, ap);
  fprintf(stderr, "\n");
  va_end(ap);
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

// ---------------------------------------------------------------- options --

static struct {
  const char *mode, *host;
  int port, pid, conns, depth, n, reps, piece;
  size_t len;
  double secs, warm, gap_us;
  bool gc;
} opt = {.host = "127.0.0.1", .conns = 1, .depth = 1, .n = 1000, .reps = 5,
         .piece = 64, .len = 16, .secs = 3, .warm = 1, .gap_us = 0};

static struct sockaddr_in server_addr;

// -------------------------------------------------------------- cpu clocks --

static clockid_t server_clock;
static bool have_server_clock;

static uint64_t server_cpu_ns(void) {
  struct timespec t;
  if (!have_server_clock || clock_gettime(server_clock, &t)) return 0;
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static uint64_t own_cpu_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static long rss_kb(int pid) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  FILE *f = fopen(path, "r");
  if (!f) return -1;
  long kb = -1;
  while (fgets(line, sizeof line, f))
    if (sscanf(line, "VmRSS: %ld", &kb) == 1) break;
  fclose(f);
  return kb;
}

// --------------------------------------------------------------- histogram --
// Log-linear: 128 steps per power of two, so a reported value is within 0.8 %.

#define SUB 128
static uint64_t hist[64 * SUB];
static uint64_t hist_count, hist_max;

static void hist_reset(void) {
  memset(hist, 0, sizeof hist);
  hist_count = hist_max = 0;
}

static void hist_add(uint64_t v, uint64_t times) {
  unsigned i;
  if (v < 2 * SUB) i = (unsigned)v;
  else {
    unsigned shift = 63 - (unsigned)__builtin_clzll(v) - 7;
    i = 2 * SUB + (shift - 1) * SUB + (unsigned)((v >> shift) - SUB);
  }
  hist[i] += times;
  hist_count += times;
  if (v > hist_max) hist_max = v;
}

static double hist_us(double q) {
  if (!hist_count) return 0;
  uint64_t want = (uint64_t)(q * (double)hist_count), seen = 0;
  if (want >= hist_count) want = hist_count - 1;
  for (unsigned i = 0; i < 64 * SUB; i++) {
    seen += hist[i];
    if (seen > want) {
      if (i < 2 * SUB) return i / 1e3;
      unsigned shift = (i - 2 * SUB) / SUB + 1, sub = (i - 2 * SUB) % SUB;
      return (double)(((uint64_t)(SUB + sub) << shift) + ((1ull << shift) >> 1)) / 1e3;
    }
  }
  return hist_max / 1e3;
}

// ------------------------------------------------------------------ sockets --

static int dial(bool nonblock, int source) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0), 0);
  if (fd < 0) die("socket: %s", strerror(errno));
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (source > 0) {  // spread TIME_WAIT over 127.0.x.y so ports never run out
    struct sockaddr_in src = {.sin_family = AF_INET};
    src.sin_addr.s_addr = htonl(0x7f000000u | (1u << 16) | (unsigned)source);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&src, sizeof src)) die("bind: %s", strerror(errno));
  }
  if (connect(fd, (struct sockaddr *)&server_addr, sizeof server_addr) && errno != EINPROGRESS)
    die("connect: %s", strerror(errno));
  return fd;
}

static void send_all(int fd, const void *data, size_t n) {
  const char *p = data;
  while (n) {
    ssize_t w = send(fd, p, n, MSG_NOSIGNAL);
    if (w < 0 && errno == EINTR) continue;
    if (w < 0 && errno == EAGAIN) {
      struct pollfd pf = {fd, POLLOUT, 0};
      if (poll(&pf, 1, 20000) <= 0) die("send: timed out");
      continue;
    }
    if (w < 0) die("send: %s", strerror(errno));
    p += w;
    n -= (size_t)w;
  }
}

// Reads exactly n bytes; returns how many came before EOF or the timeout.
static size_t recv_exact(int fd, void *data, size_t n, int timeout_ms) {
  size_t got = 0;
  while (got < n) {
    struct pollfd pf = {fd, POLLIN, 0};
    int r = poll(&pf, 1, timeout_ms);
    if (r <= 0) break;
    ssize_t k = recv(fd, (char *)data + got, n - got, 0);
    if (k < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (k <= 0) break;
    got += (size_t)k;
  }
  return got;
}

static bool at_eof(int fd, int timeout_ms) {
  char c;
  struct pollfd pf = {fd, POLLIN, 0};
  if (poll(&pf, 1, timeout_ms) <= 0) return false;
  return recv(fd, &c, 1, 0) <= 0;
}

static int dial_ready(void) {
  int fd = dial(false, 0);
  char buf[sizeof WELCOME] = {0};
  send_all(fd, HELLO, strlen(HELLO));
  if (recv_exact(fd, buf, strlen(WELCOME), 10000) != strlen(WELCOME) || strcmp(buf, WELCOME))
    die("handshake: unexpected answer \"%s\"", buf);
  return fd;
}

// ---------------------------------------------------------- request stream --
// Request k is 8 hex digits of k (when there is room) and then filler.

static char *filler;  // LEN bytes of filler and '\n'

static void make_filler(size_t len) {
  filler = malloc(len + 1);
  for (size_t i = 0; i < len; i++) filler[i] = (char)('a' + i % 26);
  filler[len] = '\n';
}

static void put_hex8(char *dst, uint32_t v) {
  static const char digits[] = "0123456789abcdef";
  for (int i = 7; i >= 0; i--, v >>= 4) dst[i] = digits[v & 15];
}

static size_t put_line(char *dst, uint32_t k) {
  memcpy(dst, filler, opt.len + 1);
  if (opt.len >= 8) put_hex8(dst, k);
  return opt.len + 1;
}

typedef struct {
  int fd;
  bool want_out, ready;
  uint32_t sent, received;  // requests
  size_t pos;               // bytes seen of the line being received
  char *expect;             // that line
  uint64_t *at;             // send times, a ring of DEPTH
  char *out;
  size_t out_len, out_off, out_cap;
  uint64_t started;
} conn;

static int ep;
static char *inbuf;
#define INBUF (1 << 20)

static void watch(conn *c, bool out, int op) {
  struct epoll_event ev = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c};
  if (epoll_ctl(ep, op, c->fd, &ev)) die("epoll_ctl: %s", strerror(errno));
  c->want_out = out;
}

static void flush_out(conn *c) {
  while (c->out_off < c->out_len) {
    ssize_t w = send(c->fd, c->out + c->out_off, c->out_len - c->out_off, MSG_NOSIGNAL);
    if (w < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) break;
      die("send: %s", strerror(errno));
    }
    c->out_off += (size_t)w;
  }
  if (c->out_off == c->out_len) c->out_off = c->out_len = 0;
  bool want = c->out_len > 0;
  if (want != c->want_out) watch(c, want, EPOLL_CTL_MOD);
}

static void queue_requests(conn *c, int k, uint64_t t) {
  size_t need = (size_t)k * (opt.len + 1);
  if (c->out_off && c->out_len + need > c->out_cap) {
    memmove(c->out, c->out + c->out_off, c->out_len - c->out_off);
    c->out_len -= c->out_off;
    c->out_off = 0;
  }
  if (c->out_len + need > c->out_cap) {
    c->out_cap = c->out_len + need;
    c->out = realloc(c->out, c->out_cap);
  }
  for (int i = 0; i < k; i++) {
    c->at[c->sent % (uint32_t)opt.depth] = t;
    c->out_len += put_line(c->out + c->out_len, c->sent++);
  }
  flush_out(c);
}

static void expect_next(conn *c) {
  c->pos = 0;
  if (opt.len >= 8) put_hex8(c->expect, c->received);
}

// Compares arrived bytes with the expected stream; returns requests finished.
static int take(conn *c, const char *p, size_t n, uint64_t t) {
  int done = 0;
  while (n) {
    size_t m = opt.len + 1 - c->pos;
    if (m > n) m = n;
    if (memcmp(p, c->expect + c->pos, m)) die("echo mismatch at request %u", c->received);
    c->pos += m;
    p += m;
    n -= m;
    if (c->pos == opt.len + 1) {
      if (c->received == c->sent) die("more answers than requests");
      hist_add(t - c->at[c->received % (uint32_t)opt.depth], 1);
      c->received++;
      done++;
      expect_next(c);
    }
  }
  return done;
}

static conn *new_conn(int fd) {
  conn *c = calloc(1, sizeof *c);
  c->fd = fd;
  c->expect = malloc(opt.len + 1);
  memcpy(c->expect, filler, opt.len + 1);
  c->at = calloc((size_t)opt.depth, sizeof *c->at);
  c->out_cap = (opt.len + 1) * (size_t)opt.depth;
  c->out = malloc(c->out_cap);
  expect_next(c);
  return c;
}

// ------------------------------------------------------- pipeline and bulk --

static void run_pipeline(bool bulk) {
  conn **cs = malloc(sizeof *cs * (size_t)opt.conns);
  for (int i = 0; i < opt.conns; i++) {
    int fd = dial_ready();
    fcntl(fd, F_SETFL, O_NONBLOCK);
    cs[i] = new_conn(fd);
    watch(cs[i], false, EPOLL_CTL_ADD);
  }
  uint64_t t = now_ns(), warm_end = t + (uint64_t)(opt.warm * 1e9);
  uint64_t begin = t, end = warm_end + (uint64_t)(opt.secs * 1e9), last = t;
  uint64_t cpu0 = server_cpu_ns(), own0 = own_cpu_ns(), done = 0, total = 0;
  uint64_t cpu1 = 0, own1 = 0, finish = 0;
  bool measuring = false, stopping = false;
  for (int i = 0; i < opt.conns; i++) queue_requests(cs[i], opt.depth, t);
  struct epoll_event evs[256];
  for (;;) {
    int n = epoll_wait(ep, evs, 256, 1000);
    if (n < 0 && errno != EINTR) die("epoll_wait: %s", strerror(errno));
    t = now_ns();
    if (!measuring && t >= warm_end) {
      measuring = true;
      hist_reset();
      done = 0;
      begin = t;
      cpu0 = server_cpu_ns();
      own0 = own_cpu_ns();
    }
    if (!stopping && t >= end) {
      stopping = true;
      finish = t;
      cpu1 = server_cpu_ns();
      own1 = own_cpu_ns();
      total = done;
    }
    if (n <= 0 && t - last > 15000000000ull) die("no answer for 15 s");
    for (int i = 0; i < n; i++) {
      conn *c = evs[i].data.ptr;
      if (evs[i].events & EPOLLOUT) flush_out(c);
      if (evs[i].events & ~(unsigned)EPOLLOUT) {
        ssize_t r = recv(c->fd, inbuf, INBUF, 0);
        if (r == 0) die("server closed the connection");
        if (r < 0) {
          if (errno == EAGAIN || errno == EINTR) continue;
          die("recv: %s", strerror(errno));
        }
        uint64_t at = now_ns();
        last = at;
        int k = take(c, inbuf, (size_t)r, at);
        done += (uint64_t)k;
        if (k && !stopping) queue_requests(c, k, at);
      }
    }
    if (stopping) {
      bool all = true;
      for (int i = 0; i < opt.conns; i++)
        if (cs[i]->received != cs[i]->sent) all = false;
      if (all) break;
      if (t - finish > 10000000000ull) die("answers missing 10 s after the end");
    }
  }
  for (int i = 0; i < opt.conns; i++) close(cs[i]->fd);
  double secs = (double)(finish - begin) / 1e9;
  printf("{\"mode\":\"%s\",\"c\":%d,\"d\":%d,\"l\":%zu,\"secs\":%.3f,\"requests\":%llu,"
         "\"rps\":%.1f,\"mbps\":%.3f,\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%.2f,"
         "\"cpu_us_per_req\":%.4f,\"cpu_ns_per_byte\":%.4f,\"server_util\":%.3f,\"client_util\":%.3f}\n",
         bulk ? "bulk" : "pipeline", opt.conns, opt.depth, opt.len, secs,
         (unsigned long long)total, (double)total / secs,
         (double)total * (double)(opt.len + 1) / secs / 1e6,
         hist_us(.5), hist_us(.99), hist_us(.999), (double)hist_max / 1e3,
         total ? (double)(cpu1 - cpu0) / 1e3 / (double)total : 0,
         total ? (double)(cpu1 - cpu0) / ((double)total * (double)(opt.len + 1)) : 0,
         (double)(cpu1 - cpu0) / 1e9 / secs, (double)(own1 - own0) / 1e9 / secs);
}

// ---------------------------------------------------------------- handshake --

static void hs_begin(conn *c, int slot) {
  c->ready = false;
  c->pos = 0;
  c->sent = 0;
  c->started = now_ns();
  c->fd = dial(true, 1 + slot % 250);
  watch(c, false, EPOLL_CTL_ADD);
  c->out_len = strlen(HELLO);
  c->out_off = 0;
  memcpy(c->out, HELLO, c->out_len);
  flush_out(c);
}

static void run_handshake(void) {
  conn *cs = calloc((size_t)opt.conns, sizeof *cs);
  uint64_t t = now_ns(), warm_end = t + (uint64_t)(opt.warm * 1e9);
  uint64_t begin = t, end = warm_end + (uint64_t)(opt.secs * 1e9);
  uint64_t cpu0 = server_cpu_ns(), own0 = own_cpu_ns(), done = 0;
  bool measuring = false;
  char *back = malloc(opt.len + 64);
  for (int i = 0; i < opt.conns; i++) {
    cs[i].out_cap = opt.len + 64;
    cs[i].out = malloc(cs[i].out_cap);
    cs[i].expect = malloc(opt.len + 64);
    hs_begin(&cs[i], i);
  }
  uint64_t served = 0;
  struct epoll_event evs[256];
  for (;;) {
    int n = epoll_wait(ep, evs, 256, 5000);
    if (n == 0) die("no answer for 5 s");
    t = now_ns();
    if (!measuring && t >= warm_end) {
      measuring = true;
      hist_reset();
      done = 0;
      begin = t;
      cpu0 = server_cpu_ns();
      own0 = own_cpu_ns();
    }
    if (t >= end) break;
    for (int i = 0; i < n; i++) {
      conn *c = evs[i].data.ptr;
      if (evs[i].events & EPOLLOUT) flush_out(c);
      if (!(evs[i].events & ~(unsigned)EPOLLOUT)) continue;
      const char *want = c->ready ? c->expect : WELCOME;
      size_t need = c->ready ? opt.len + 1 : strlen(WELCOME);
      ssize_t r = recv(c->fd, back, need - c->pos, 0);
      if (r < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (r <= 0) die("handshake: connection lost (%s)", r ? strerror(errno) : "EOF");
      if (memcmp(back, want + c->pos, (size_t)r)) die("handshake: unexpected bytes");
      c->pos += (size_t)r;
      if (c->pos < need) continue;
      c->pos = 0;
      if (!c->ready) {
        c->ready = true;
        hist_add(now_ns() - c->started, 1);
        put_line(c->expect, (uint32_t)served++);
        memcpy(c->out, c->expect, opt.len + 1);
        c->out_len = opt.len + 1;
        c->out_off = 0;
        flush_out(c);
      } else {
        done++;
        close(c->fd);
        hs_begin(c, (int)(c - cs));
      }
    }
  }
  uint64_t cpu1 = server_cpu_ns(), own1 = own_cpu_ns();
  double secs = (double)(t - begin) / 1e9;
  for (int i = 0; i < opt.conns; i++) close(cs[i].fd);
  printf("{\"mode\":\"handshake\",\"c\":%d,\"l\":%zu,\"secs\":%.3f,\"handshakes\":%llu,\"hps\":%.1f,"
         "\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,\"cpu_us_per_req\":%.3f,"
         "\"server_util\":%.3f,\"client_util\":%.3f}\n",
         opt.conns, opt.len, secs, (unsigned long long)done, (double)done / secs,
         hist_us(.5), hist_us(.99), hist_us(.999), done ? (double)(cpu1 - cpu0) / 1e3 / (double)done : 0,
         (double)(cpu1 - cpu0) / 1e9 / secs, (double)(own1 - own0) / 1e9 / secs);
}

// --------------------------------------------------------------------- idle --

static void settle(void) {
  usleep((useconds_t)(opt.secs * 1e6));
  if (opt.gc) {  // a server that collects its garbage on SIGUSR2
    kill(opt.pid, SIGUSR2);
    usleep(1500000);
  }
}

static void run_idle(void) {
  if (!opt.pid) die("idle needs --pid");
  close(dial_ready());
  settle();
  long before = rss_kb(opt.pid), half = 0, after;
  uint64_t cpu0 = server_cpu_ns();
  int *fds = malloc(sizeof *fds * (size_t)opt.n);
  for (int i = 0; i < opt.n; i++) {
    if (i == opt.n / 2) {
      settle();
      half = rss_kb(opt.pid);
    }
    fds[i] = dial_ready();
  }
  uint64_t cpu1 = server_cpu_ns();
  settle();
  after = rss_kb(opt.pid);
  uint64_t c2 = server_cpu_ns();
  usleep(1000000);
  double idle_cpu = (double)(server_cpu_ns() - c2) / 1e9;
  char back[16];
  send_all(fds[opt.n - 1], "still there\n", 12);  // the server must still answer
  if (recv_exact(fds[opt.n - 1], back, 12, 5000) != 12) die("idle: server stopped answering");
  printf("{\"mode\":\"idle\",\"n\":%d,\"rss_before_kb\":%ld,\"rss_after_kb\":%ld,"
         "\"bytes_per_conn\":%.0f,\"marginal_bytes_per_conn\":%.0f,\"open_cpu_us\":%.2f,\"idle_cpu\":%.4f}\n",
         opt.n, before, after, (double)(after - before) * 1024 / opt.n,
         (double)(after - half) * 1024 / (opt.n - opt.n / 2), (double)(cpu1 - cpu0) / 1e3 / opt.n, idle_cpu);
}

// ------------------------------------------------------------------ dribble --

static int by_double(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void run_dribble(void) {
  int fd = dial_ready();
  char *line = malloc(opt.len + 1), *back = malloc(opt.len + 1);
  double *wall = calloc((size_t)opt.reps, sizeof *wall), *cpu = calloc((size_t)opt.reps, sizeof *cpu);
  double *tail = calloc((size_t)opt.reps, sizeof *tail);
  for (int rep = -1; rep < opt.reps; rep++) {  // rep -1 warms up
    put_line(line, (uint32_t)(rep + 1));
    uint64_t t0 = now_ns(), c0 = server_cpu_ns(), due = t0;
    for (size_t off = 0; off < opt.len + 1; off += (size_t)opt.piece) {
      size_t n = opt.len + 1 - off;
      if (n > (size_t)opt.piece) n = (size_t)opt.piece;
      send_all(fd, line + off, n);
      due += (uint64_t)(opt.gap_us * 1e3);
      if (opt.gap_us > 0)
        while (now_ns() < due) {
        }
    }
    uint64_t t1 = now_ns();
    if (recv_exact(fd, back, opt.len + 1, 60000) != opt.len + 1) die("dribble: no echo");
    uint64_t t2 = now_ns(), c2 = server_cpu_ns();
    if (memcmp(line, back, opt.len + 1)) die("dribble: echo mismatch");
    if (rep < 0) continue;
    wall[rep] = (double)(t2 - t0) / (double)(opt.len + 1);
    cpu[rep] = (double)(c2 - c0) / (double)(opt.len + 1);
    tail[rep] = (double)(t2 - t1) / 1e3;
  }
  close(fd);
  qsort(wall, (size_t)opt.reps, sizeof *wall, by_double);
  qsort(cpu, (size_t)opt.reps, sizeof *cpu, by_double);
  qsort(tail, (size_t)opt.reps, sizeof *tail, by_double);
  printf("{\"mode\":\"dribble\",\"l\":%zu,\"piece\":%d,\"gap_us\":%.1f,\"reps\":%d,\"wall_ns_per_byte\":%.3f,"
         "\"cpu_ns_per_byte\":%.3f,\"tail_us\":%.1f}\n",
         opt.len, opt.piece, opt.gap_us, opt.reps, wall[opt.reps / 2], cpu[opt.reps / 2], tail[opt.reps / 2]);
}

// ------------------------------------------------------------------- verify --

static int failures;

static void check(bool ok, const char *what) {
  printf("%s %s\n", ok ? "ok  " : "FAIL", what);
  if (!ok) failures++;
}

static bool answers(int fd, const char *want, size_t n) {
  char *back = malloc(n + 1);
  bool ok = recv_exact(fd, back, n, 20000) == n && !memcmp(back, want, n);
  free(back);
  return ok;
}

static void run_verify(void) {
  int fd = dial_ready();
  send_all(fd, "hello\n", 6);
  check(answers(fd, "hello\n", 6), "handshake, then echo");
  send_all(fd, "\n\nx\n", 4);
  check(answers(fd, "\n\nx\n", 4), "empty lines");
  send_all(fd, HELLO, strlen(HELLO));
  check(answers(fd, HELLO, strlen(HELLO)), "the handshake line is an ordinary request afterwards");
  close(fd);

  const char *bad[] = {"You ready\n", "you ready?\n", "You ready? \n", "\n", "hello\nYou ready?\n"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    fd = dial(false, 0);
    send_all(fd, bad[i], strlen(bad[i]));
    check(answers(fd, REFUSAL, strlen(REFUSAL)) && at_eof(fd, 5000), "wrong handshake: refused and closed");
    close(fd);
  }

  fd = dial(false, 0);
  const char *all = HELLO "a\nbb\nccc\n";
  send_all(fd, all, strlen(all));
  check(answers(fd, WELCOME "a\nbb\nccc\n", strlen(WELCOME) + 9), "handshake and requests in one segment");
  close(fd);

  fd = dial(false, 0);
  for (const char *p = HELLO; *p; p++) {
    send_all(fd, p, 1);
    usleep(500);
  }
  bool ok = answers(fd, WELCOME, strlen(WELCOME));
  const char *utf8 = "h\xc3\xa9llo \xe2\x82\xac \xf0\x9f\x98\x80 \xe6\xbc\xa2\xe5\xad\x97\n";
  for (const char *p = utf8; *p; p++) {
    send_all(fd, p, 1);
    usleep(500);
  }
  check(ok && answers(fd, utf8, strlen(utf8)), "one byte at a time, UTF-8 split between reads");
  char big[64 * 40];
  size_t n = 0;
  for (int i = 0; i < 40; i++, n += strlen(utf8)) memcpy(big + n, utf8, strlen(utf8));
  send_all(fd, big, n - 7);
  usleep(2000);
  send_all(fd, big + n - 7, 7);
  check(answers(fd, big, n), "UTF-8 lines in batches with a split tail");
  close(fd);

  fd = dial_ready();
  size_t m = 3u << 20;
  char *line = malloc(m + 1), *back = malloc(m + 1);
  for (size_t i = 0; i < m; i++) line[i] = (char)('A' + i % 23);
  line[m] = '\n';
  fcntl(fd, F_SETFL, O_NONBLOCK);
  size_t sent = 0, got = 0;
  while (got < m + 1) {
    struct pollfd pf = {fd, (short)(POLLIN | (sent < m + 1 ? POLLOUT : 0)), 0};
    if (poll(&pf, 1, 10000) <= 0) break;
    ssize_t k;
    if ((pf.revents & POLLOUT) && (k = send(fd, line + sent, m + 1 - sent, MSG_NOSIGNAL)) > 0) sent += (size_t)k;
    if ((pf.revents & POLLIN) && (k = recv(fd, back + got, m + 1 - got, 0)) > 0) got += (size_t)k;
  }
  check(got == m + 1 && !memcmp(line, back, m + 1), "a 3 MiB line");
  close(fd);

  // A client that sends and does not read: the server has to stop reading.
  fd = dial_ready();
  fcntl(fd, F_SETFL, O_NONBLOCK);
  long before = opt.pid ? rss_kb(opt.pid) : 0;
  size_t total = 0, limit = 256u << 20, stalled = 0;
  static char kib[1024];
  memset(kib, 'z', sizeof kib);
  kib[1023] = '\n';
  size_t phase = 0;
  while (total < limit && stalled < 20) {
    ssize_t k = send(fd, kib + phase, sizeof kib - phase, MSG_NOSIGNAL);
    if (k > 0) {
      total += (size_t)k;
      phase = (phase + (size_t)k) % sizeof kib;
      stalled = 0;
    } else if (errno == EAGAIN) {
      stalled++;
      usleep(50000);
    } else
      die("verify: send: %s", strerror(errno));
  }
  long grown = opt.pid ? rss_kb(opt.pid) - before : 0;
  char what[128];
  snprintf(what, sizeof what, "backpressure: took %.1f MiB unread, RSS grew %.1f MiB",
           (double)total / 1048576, (double)grown / 1024);
  check(total < limit, what);
  if (phase) {  // finish the line in flight, then drain
    size_t left = sizeof kib - phase;
    got = 0;
    while (left) {
      ssize_t k = send(fd, kib + phase, left, MSG_NOSIGNAL);
      if (k > 0) { left -= (size_t)k; phase += (size_t)k; total += (size_t)k; }
      else {
        struct pollfd pf = {fd, POLLIN, 0};
        if (poll(&pf, 1, 5000) <= 0) break;
        k = recv(fd, inbuf, INBUF, 0);
        if (k <= 0) break;
        got += (size_t)k;
      }
    }
  } else
    got = 0;
  shutdown(fd, SHUT_WR);
  for (;;) {
    struct pollfd pf = {fd, POLLIN, 0};
    if (poll(&pf, 1, 10000) <= 0) break;
    ssize_t k = recv(fd, inbuf, INBUF, 0);
    if (k <= 0) break;
    got += (size_t)k;
  }
  check(got == total, "after a half-close every answer still arrives, then EOF");
  close(fd);

  // Clients that vanish must not disturb the others.
  int other = dial_ready();
  for (int i = 0; i < 50; i++) {
    fd = dial_ready();
    for (int k = 0; k < 64; k++) send_all(fd, kib, sizeof kib);
    struct linger lg = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &lg, sizeof lg);
    close(fd);
  }
  send_all(other, "alive\n", 6);
  check(answers(other, "alive\n", 6), "reset connections do not disturb another one");
  close(other);
  printf("%s\n", failures ? "verify: FAILED" : "verify: all passed");
  exit(failures ? 1 : 0);
}

// --------------------------------------------------------------------- main --

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // never outlive the harness
  struct rlimit rl = {0, 0};  // as many connections as the system allows
  getrlimit(RLIMIT_NOFILE, &rl);
  rl.rlim_cur = rl.rlim_max;
  setrlimit(RLIMIT_NOFILE, &rl);
  if (argc < 2) die("mode missing (pipeline|handshake|idle|bulk|dribble|verify)");
  opt.mode = argv[1];
  for (int i = 2; i < argc; i++) {
    const char *a = argv[i];
    if (!strcmp(a, "--gc")) { opt.gc = true; continue; }
    if (i + 1 == argc) die("%s needs a value", a);
    const char *v = argv[++i];
    if (!strcmp(a, "--host")) opt.host = v;
    else if (!strcmp(a, "--port")) opt.port = atoi(v);
    else if (!strcmp(a, "--pid")) opt.pid = atoi(v);
    else if (!strcmp(a, "-c")) opt.conns = atoi(v);
    else if (!strcmp(a, "-d")) opt.depth = atoi(v);
    else if (!strcmp(a, "-l")) opt.len = (size_t)strtoull(v, NULL, 0);
    else if (!strcmp(a, "-s")) opt.secs = atof(v);
    else if (!strcmp(a, "-w")) opt.warm = atof(v);
    else if (!strcmp(a, "-n")) opt.n = atoi(v);
    else if (!strcmp(a, "-r")) opt.reps = atoi(v);
    else if (!strcmp(a, "--piece")) opt.piece = atoi(v);
    else if (!strcmp(a, "--gap-us")) opt.gap_us = atof(v);
    else die("unknown option %s", a);
  }
  if (!opt.port) die("--port missing");
  server_addr.sin_family = AF_INET;
  server_addr.sin_port = htons((uint16_t)opt.port);
  if (inet_pton(AF_INET, opt.host, &server_addr.sin_addr) != 1) die("bad --host");
  if (opt.pid) {
    if (clock_getcpuclockid(opt.pid, &server_clock)) die("no CPU clock for pid %d", opt.pid);
    have_server_clock = true;
  }
  ep = epoll_create1(EPOLL_CLOEXEC);
  inbuf = malloc(INBUF);
  make_filler(opt.len);
  if (!strcmp(opt.mode, "pipeline")) run_pipeline(false);
  else if (!strcmp(opt.mode, "bulk")) run_pipeline(true);
  else if (!strcmp(opt.mode, "handshake")) run_handshake();
  else if (!strcmp(opt.mode, "idle")) run_idle();
  else if (!strcmp(opt.mode, "dribble")) run_dribble();
  else if (!strcmp(opt.mode, "verify")) run_verify();
  else die("unknown mode %s", opt.mode);
  return 0;
}
