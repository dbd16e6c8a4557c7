/* The sink: an SMTP server that takes every recipient, as fast as can be, and counts.
 *
 *     sink [ADDRESS]...                    (127.0.0.1 unless told otherwise; loopback only)
 *
 * It binds a port that the kernel picks, the same at each address, and prints "port=N". Each line
 * that it reads from its standard input is answered with one line of counts; at the end of the input
 * it prints them once more and exits, so that it never outlives who started it.
 *
 * One thread, one epoll. All that a peer can make it hold is in `struct visit`.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_VISITS 4096   /* sessions at once; who comes then is turned away */
#define MAX_INPUT 16384   /* octets of commands held for a visit */
#define MAX_OUTPUT 16384  /* octets of replies held for a visit */
#define MAX_COMMAND 2048  /* octets of a line; a longer one ends the visit */
#define MAX_EVENTS 256
#define MAX_ADDRESSES 256

#define GREETING "220 sink.example ESMTP\r\n"
#define CAPABILITIES "250-sink.example\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n"
#define LONGEST_REPLY (sizeof CAPABILITIES)

struct visit {
    int fd;
    bool in_transaction, is_leaving, waits_to_write;
    size_t held, pending;
    struct visit *next; /* in the list of those that are free */
    char input[MAX_INPUT];
    char output[MAX_OUTPUT];
};

static struct {
    unsigned long sessions, transactions, recipients, quits, forbidden, disorder, turned_away;
} counts;

static int poller;
static unsigned long visits;
static struct visit *free_visits;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void tell_counts(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
                 + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("sessions=%lu transactions=%lu recipients=%lu quits=%lu forbidden=%lu disorder=%lu "
           "turned_away=%lu cpu=%.6f\n",
           counts.sessions, counts.transactions, counts.recipients, counts.quits,
           counts.forbidden, counts.disorder, counts.turned_away, cpu);
    fflush(stdout);
}

static void say(struct visit *visit, const char *reply, size_t length)
{
    memcpy(visit->output + visit->pending, reply, length);
    visit->pending += length;
}

#define SAY(visit, reply) say(visit, reply, sizeof reply - 1)

static bool is(const char *line, size_t length, const char *verb)
{
    size_t size = strlen(verb);
    return length >= size && !strncasecmp(line, verb, size);
}

static void disorder(struct visit *visit)
{
    counts.disorder++;
    SAY(visit, "503 5.5.1 Bad sequence of commands\r\n");
}

static void obey(struct visit *visit, const char *line, size_t length)
{
    if (is(line, length, "RCPT TO:<")) {
        if (!visit->in_transaction) {
            disorder(visit);
            return;
        }
        counts.recipients++;
        SAY(visit, "250 2.1.5 Ok\r\n");
    } else if (is(line, length, "MAIL FROM:<")) {
        if (visit->in_transaction) {
            disorder(visit);
            return;
        }
        counts.transactions++;
        visit->in_transaction = true;
        SAY(visit, "250 2.1.0 Ok\r\n");
    } else if (is(line, length, "EHLO ")) {
        visit->in_transaction = false;
        SAY(visit, CAPABILITIES);
    } else if (is(line, length, "HELO ")) {
        visit->in_transaction = false;
        SAY(visit, "250 sink.example\r\n");
    } else if (is(line, length, "RSET")) {
        visit->in_transaction = false;
        SAY(visit, "250 2.0.0 Ok\r\n");
    } else if (is(line, length, "QUIT")) {
        counts.quits++;
        visit->is_leaving = true;
        SAY(visit, "221 2.0.0 Bye\r\n");
    } else if (is(line, length, "DATA") || is(line, length, "BDAT") || is(line, length, "VRFY")) {
        counts.forbidden++;
        SAY(visit, "502 5.5.1 Not here\r\n");
    } else {
        counts.disorder++;
        SAY(visit, "500 5.5.2 Not understood\r\n");
    }
}

static void leave(struct visit *visit)
{
    close(visit->fd);
    visit->next = free_visits;
    free_visits = visit;
    visits--;
}

static void watch(struct visit *visit, bool to_write)
{
    if (visit->waits_to_write == to_write)
        return;
    visit->waits_to_write = to_write;
    struct epoll_event event = {.events = to_write ? EPOLLOUT : EPOLLIN, .data.ptr = visit};
    if (epoll_ctl(poller, EPOLL_CTL_MOD, visit->fd, &event) < 0)
        die("epoll_ctl");
}

/* Send what is pending; whether the visit goes on. */
static bool flush(struct visit *visit)
{
    size_t sent = 0;
    while (sent < visit->pending) {
        ssize_t n = send(visit->fd, visit->output + sent, visit->pending - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return false;
        sent += n;
    }
    visit->pending -= sent;
    memmove(visit->output, visit->output + sent, visit->pending);
    watch(visit, visit->pending > 0);
    return visit->pending || !visit->is_leaving;
}

/* Answer the lines that are held, as far as there is room for the replies; how many octets that
 * was. */
static size_t obey_all(struct visit *visit)
{
    size_t start = 0;
    while (!visit->is_leaving && visit->pending + LONGEST_REPLY <= MAX_OUTPUT) {
        char *line = visit->input + start;
        char *end = memchr(line, '\n', visit->held - start);
        if (!end)
            break;
        obey(visit, line, end - line);
        start = end + 1 - visit->input;
    }
    visit->held -= start;
    memmove(visit->input, visit->input + start, visit->held);
    return start;
}

/* Whether the visit goes on. Once nothing is pending, what is held is a part of a line. */
static bool answer(struct visit *visit)
{
    while (obey_all(visit)) {
        if (!flush(visit))
            return false;
        if (visit->pending)
            return true;
    }
    return visit->held <= MAX_COMMAND;
}

static bool hear(struct visit *visit)
{
    ssize_t n = recv(visit->fd, visit->input + visit->held, MAX_INPUT - visit->held, 0);
    if (n < 0)
        return errno == EAGAIN;
    visit->held += n;
    return n > 0 && answer(visit);
}

static struct visit *vacancy(void)
{
    struct visit *visit = free_visits;
    if (visit)
        free_visits = visit->next;
    else if (!(visit = malloc(sizeof *visit)))
        die("malloc");
    visit->in_transaction = visit->is_leaving = visit->waits_to_write = false;
    visit->held = visit->pending = 0;
    return visit;
}

static void welcome(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED))
            return;
        if (fd < 0)
            die("accept");
        if (visits == MAX_VISITS) {
            counts.turned_away++;
            close(fd);
            continue;
        }
        int yes = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct visit *visit = vacancy();
        visit->fd = fd;
        visits++;
        counts.sessions++;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = visit};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0)
            die("epoll_ctl");
        SAY(visit, GREETING);
        if (!flush(visit))
            leave(visit);
    }
}

/* Whether there is more to come from who started us. */
static bool asked(void)
{
    char line[256];
    if (read(STDIN_FILENO, line, sizeof line) <= 0)
        return false;
    tell_counts();
    return true;
}

/* `port` is in network byte order; where it is 0 the kernel picks one. */
static int listen_at(const char *address, in_port_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = *port};
    socklen_t size = sizeof at;
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1 || ntohl(at.sin_addr.s_addr) >> 24 != 127) {
        fprintf(stderr, "%s is no IPv4 loopback address\n", address);
        exit(2);
    }
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, size) < 0
        || listen(listener, MAX_VISITS) < 0
        || getsockname(listener, (struct sockaddr *)&at, &size) < 0)
        die(address);
    *port = at.sin_port;
    return listener;
}

int main(int argc, char **argv)
{
    static char *nowhere_else[] = {"127.0.0.1"};
    char **addresses = argc > 1 ? argv + 1 : nowhere_else;
    int number = argc > 1 ? argc - 1 : 1;
    if (number > MAX_ADDRESSES) {
        fprintf(stderr, "more than %d addresses\n", MAX_ADDRESSES);
        return 2;
    }
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        die("epoll");
    /* What is no visit is told by its own address: the listeners, and who started us. */
    static int listeners[MAX_ADDRESSES];
    static char questions;
    in_port_t port = 0;
    struct epoll_event event = {.events = EPOLLIN};
    for (int i = 0; i < number; i++) {
        listeners[i] = listen_at(addresses[i], &port);
        event.data.ptr = &listeners[i];
        if (epoll_ctl(poller, EPOLL_CTL_ADD, listeners[i], &event) < 0)
            die("epoll");
    }
    printf("port=%d\n", ntohs(port));
    fflush(stdout);
    event.data.ptr = &questions;
    if (epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0)
        die("standard input");
    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        int n = epoll_wait(poller, events, MAX_EVENTS, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            struct visit *visit = events[i].data.ptr;
            int *listener = events[i].data.ptr;
            if (listener >= listeners && listener < listeners + number) {
                welcome(*listener);
            } else if (events[i].data.ptr == &questions) {
                if (!asked()) {
                    tell_counts();
                    return 0;
                }
            } else if (!(visit->waits_to_write ? flush(visit) && answer(visit) : hear(visit))) {
                leave(visit);
            }
        }
    }
}
