/* The first process of the enclave: mounts what the daemon needs, tells the
 * parent that the enclave runs, becomes the daemon. There is no shell and no
 * other program. Whatever fails ends the process, and with it the enclave: the
 * kernel panics without a first process, and `panic=-1` restarts the machine. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

/* Nitro's boot protocol: the enclave sends one byte to this port of its parent
 * and waits for the same byte. */
#define PARENT_CID 3u
#define PARENT_PORT 9000u
#define HEARTBEAT UINT8_C(0xb7)

#define DAEMON "/sentineld"

/* The only exit. */
static void must(int good, const char *what) {
    if (!good) {
        perror(what);
        exit(1);
    }
}

static void mount_all(void) {
    const unsigned long none = MS_NOSUID | MS_NOEXEC;
    must(mount("devtmpfs", "/dev", "devtmpfs", none, "mode=0755") == 0, "init: /dev");
    must(mount("proc", "/proc", "proc", none | MS_NODEV, NULL) == 0, "init: /proc");
    must(mount("sysfs", "/sys", "sysfs", none | MS_NODEV | MS_RDONLY, NULL) == 0, "init: /sys");
}

static void tell_parent(void) {
    const struct sockaddr_vm parent = {
        .svm_family = AF_VSOCK, .svm_cid = PARENT_CID, .svm_port = PARENT_PORT};
    uint8_t byte = HEARTBEAT;
    const int end = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(end >= 0, "init: vsock");
    must(connect(end, (const struct sockaddr *)&parent, sizeof parent) == 0, "init: parent");
    must(write(end, &byte, 1) == 1, "init: heartbeat");
    must(read(end, &byte, 1) == 1 && byte == HEARTBEAT, "init: the parent's heartbeat");
    must(close(end) == 0, "init: vsock");
}

int main(void) {
    char *const arguments[] = {DAEMON, "--enclave", NULL};
    char *const environment[] = {NULL};
    mount_all();
    tell_parent();
    (void)execve(DAEMON, arguments, environment);
    must(0, "init: " DAEMON);
}
