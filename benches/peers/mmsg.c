// The hand-written limit in C for UDP: recvmmsg and sendmmsg, a batch in two system calls, on one address, with no safety at all.
//
//   cc -O2 -o mmsg mmsg.c && ./mmsg PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 64, LONGEST = 65536 };

int main(int argc, char **argv) {
    static char buffers[BATCH][LONGEST];
    static struct sockaddr_in peers[BATCH];
    static struct iovec parts[BATCH];
    static struct mmsghdr messages[BATCH];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons(argc > 1 ? atoi(argv[1]) : 7000);
    int server = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0);
    if (bind(server, (struct sockaddr *)&address, sizeof address) < 0) {
        perror("bind");
        return 1;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = server};
    epoll_ctl(poll, EPOLL_CTL_ADD, server, &event);
    for (;;) {
        epoll_wait(poll, &event, 1, -1);
        for (;;) {
            for (int i = 0; i < BATCH; i++) {
                parts[i] = (struct iovec){.iov_base = buffers[i], .iov_len = LONGEST};
                messages[i].msg_hdr = (struct msghdr){
                    .msg_name = &peers[i], .msg_namelen = sizeof peers[i], .msg_iov = &parts[i], .msg_iovlen = 1};
            }
            int count = recvmmsg(server, messages, BATCH, 0, NULL);
            if (count <= 0) break;
            for (int i = 0; i < count; i++) parts[i].iov_len = messages[i].msg_len;
            for (int sent = 0, n; sent < count; sent += n)
                if ((n = sendmmsg(server, messages + sent, count - sent, 0)) <= 0) n = 1;
            if (count < BATCH) break;
        }
    }
}
