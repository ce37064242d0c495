// The hand-written limit in C: an epoll echo server that does nothing but echo. Edge-triggered, registered once, one read and one
// write a message (a read shorter than the buffer proves that nothing is left), listener options that newcomers inherit.
// It has no limits, no timers and no back-pressure (it spins on a reader that is slow). That is the point: it is what is
// left when all of a server's safety is taken away.
//
//   cc -O2 -o epoll epoll.c && ./epoll PORT [BUFFER_BYTES]
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void check(int result, const char *what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

// A FIN that comes with the data gives no edge of its own: then `ended` says that reading has to go on to 0.
static void echo(int connection, char *buffer, size_t size, int ended) {
    for (;;) {
        ssize_t count = read(connection, buffer, size);
        if (count < 0 && errno == EAGAIN) return;
        if (count <= 0) break;
        for (ssize_t sent = 0, n; sent < count; sent += n > 0 ? n : 0)
            if ((n = write(connection, buffer + sent, count - sent)) < 0 && errno != EAGAIN) goto gone;
        if ((size_t)count < size && !ended) return;
    }
gone:
    close(connection);
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons(argc > 1 ? atoi(argv[1]) : 7000);
    size_t size = argc > 2 ? strtoul(argv[2], NULL, 10) : 64 * 1024;
    // On a page: a large block of malloc's begins 16 bytes behind one, and the kernel copies more slowly to there.
    char *buffer = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
    struct rlimit files;
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    check(bind(listener, (struct sockaddr *)&address, sizeof address), "bind");
    check(listen(listener, 4096), "listen");
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = listener}, events[1024];
    check(epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event), "epoll_ctl");
    for (;;) {
        int count = epoll_wait(poll, events, 1024, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd != listener) {
                echo(events[i].data.fd, buffer, size, events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
                continue;
            }
            for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
                event = (struct epoll_event){.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd};
                check(epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
            }
        }
    }
}
