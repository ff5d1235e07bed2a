/* A fake: stands where the daemon stands in an image, and lets a test ask the
 * machine. It answers anybody, so it is in no release. One process for each
 * stream:
 *
 *   port 5700  NSM: u32 size and request, answered by u32 size and response
 *   port 5701  what comes goes back
 *   port 5702  u32 port: a stream to that port of the parent, what comes from it goes back to it
 *   port 5703  a path, ended by a zero byte: the file's first 64 KiB
 *
 * Numbers are little-endian. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define PARENT_CID 3u
#define PORT_FIRST 5700u
#define PORTS 4u

#define NSM_REQUEST_BYTES_MAX 0x1000u
#define NSM_RESPONSE_BYTES_MAX 0x3000u

struct nsm_part {
    uint64_t address;
    uint64_t size;
};
struct nsm_message {
    struct nsm_part request;
    struct nsm_part response;
};
#define NSM_REQUEST _IOWR(0x0a, 0, struct nsm_message)

static void must(int good, const char *what) {
    if (!good) {
        perror(what);
        exit(1);
    }
}

/* Reads all of it; 0 at the stream's end. */
static int take(int end, void *data, size_t size) {
    uint8_t *at = data;
    while (size > 0) {
        const ssize_t count = read(end, at, size);
        if (count <= 0) {
            return 0;
        }
        at += count;
        size -= (size_t)count;
    }
    return 1;
}

static void give(int end, const void *data, size_t size) {
    const uint8_t *at = data;
    while (size > 0) {
        const ssize_t count = write(end, at, size);
        must(count > 0, "probe: write");
        at += count;
        size -= (size_t)count;
    }
}

static void serve_nsm(int end) {
    static uint8_t request[NSM_REQUEST_BYTES_MAX];
    static uint8_t response[NSM_RESPONSE_BYTES_MAX];
    uint32_t size;
    const int nsm = open("/dev/nsm", O_RDWR | O_CLOEXEC);
    must(nsm >= 0, "probe: /dev/nsm");
    while (take(end, &size, sizeof size) && size <= sizeof request && take(end, request, size)) {
        struct nsm_message message = {{(uintptr_t)request, size},
                                      {(uintptr_t)response, sizeof response}};
        must(ioctl(nsm, NSM_REQUEST, &message) == 0, "probe: nsm");
        size = (uint32_t)message.response.size;
        give(end, &size, sizeof size);
        give(end, response, size);
    }
}

static void serve_echo(int end) {
    static uint8_t data[1 << 16];
    ssize_t count;
    while ((count = read(end, data, sizeof data)) > 0) {
        give(end, data, (size_t)count);
    }
}

static void serve_dial(int end) {
    struct sockaddr_vm parent = {.svm_family = AF_VSOCK, .svm_cid = PARENT_CID};
    const int other = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint32_t port;
    must(take(end, &port, sizeof port), "probe: port");
    parent.svm_port = port;
    must(connect(other, (const struct sockaddr *)&parent, sizeof parent) == 0, "probe: connect");
    serve_echo(other);
}

static void serve_file(int end) {
    static char path[256];
    static uint8_t data[1 << 16];
    size_t length = 0;
    do {
        must(length < sizeof path && take(end, &path[length], 1), "probe: path");
    } while (path[length++] != 0);
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    must(file >= 0, path);
    const ssize_t count = read(file, data, sizeof data);
    must(count >= 0, path);
    give(end, data, (size_t)count);
}

static void (*const serve[PORTS])(int end) = {serve_nsm, serve_echo, serve_dial, serve_file};

int main(void) {
    struct pollfd listening[PORTS];
    must(signal(SIGCHLD, SIG_IGN) != SIG_ERR, "probe: signal");
    for (uint32_t i = 0; i < PORTS; i++) {
        const struct sockaddr_vm here = {
            .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = PORT_FIRST + i};
        listening[i] = (struct pollfd){socket(AF_VSOCK, SOCK_STREAM, 0), POLLIN, 0};
        must(bind(listening[i].fd, (const struct sockaddr *)&here, sizeof here) == 0,
             "probe: bind");
        must(listen(listening[i].fd, 16) == 0, "probe: listen");
    }
    for (;;) {
        must(poll(listening, PORTS, -1) > 0, "probe: poll");
        for (uint32_t i = 0; i < PORTS; i++) {
            if (listening[i].revents & POLLIN) {
                const int end = accept(listening[i].fd, NULL, NULL);
                if (end >= 0 && fork() == 0) {
                    serve[i](end);
                    return 0;
                }
                (void)close(end);
            }
        }
    }
}
