/* Rights that are given up, and the filter of system calls. */
#include "harden.h"
#include "nsm.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int failed(const char *what) {
    (void)fprintf(stderr, "sentineld: %s: %s\n", what, strerror(errno));
    return -1;
}

int harden_begin(void) {
    const struct rlimit none = {0, 0};
    (void)umask(077);
    (void)signal(SIGPIPE, SIG_IGN);
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return failed("core dumps");
    }
    return 0;
}

void harden_memory(void) {
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    struct rlimit limit;
    (void)setrlimit(RLIMIT_MEMLOCK, &all); /* where it may */
    /* Under a limit a later mapping would fail; keys are locked in any case. */
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY ||
        mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
        (void)fprintf(stderr, "sentineld: memory other than keys is not locked "
                              "(set LimitMEMLOCK=infinity)\n");
    }
}

void harden_descriptors(unsigned count) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < count) {
        limit.rlim_cur = limit.rlim_max < count ? limit.rlim_max : count;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        if (limit.rlim_cur < count) {
            (void)fprintf(stderr, "sentineld: room for %llu descriptors, not %u\n",
                          (unsigned long long)limit.rlim_cur, count);
        }
    }
}

/* ---- System calls ------------------------------------------------------------- */

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "the filter of system calls does not know this machine"
#endif

/* docs/service.md says what each is for. */
static const uint16_t allowed[] = {
#ifdef __NR_epoll_wait
    __NR_epoll_wait,
#endif
    __NR_epoll_pwait,
    __NR_recvfrom,
    __NR_sendto,
    __NR_futex,
    __NR_clock_gettime,
    __NR_clock_nanosleep,
    __NR_nanosleep,
    __NR_epoll_ctl,
    __NR_accept4,
    __NR_getsockopt,
    __NR_sendmsg,
    __NR_read,
    __NR_write,
    __NR_writev,
    __NR_pread64,
    __NR_pwrite64,
    __NR_close,
    __NR_fsync,
    __NR_fdatasync,
    __NR_sync_file_range,
    __NR_msync,
    __NR_openat,
#ifdef __NR_unlink
    __NR_unlink,
#endif
    __NR_unlinkat,
#ifdef __NR_renameat
    __NR_renameat,
#endif
    __NR_renameat2,
    __NR_faccessat,
    __NR_faccessat2,
    __NR_fstat,
    __NR_newfstatat,
    __NR_lseek,
    __NR_ftruncate,
    __NR_fallocate,
    __NR_getdents64,
    __NR_fcntl,
    __NR_flock,
    __NR_brk,
    __NR_munmap,
    __NR_mremap,
    __NR_madvise,
    __NR_mlock,
    __NR_mlock2,
    __NR_munlock,
    __NR_memfd_create,
    __NR_getrandom,
    __NR_getpid,
    __NR_gettid,
    __NR_tgkill,
    __NR_rt_sigaction,
    __NR_rt_sigprocmask,
    __NR_rt_sigreturn,
    __NR_restart_syscall,
    __NR_rseq, /* what a thread begins with: the one that fills may just be there */
    __NR_set_robust_list,
    __NR_sched_yield,
    __NR_exit,
    __NR_exit_group,
};

#define ALLOWED (sizeof allowed / sizeof allowed[0])
#define AT(field) ((uint32_t)offsetof(struct seccomp_data, field))
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AT(field))
#define IF_EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), (yes), (no))
#define IF_BITS(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (value), (yes), (no))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, (what))

/* mmap and mprotect: allowed where nothing becomes executable (third argument). */
static size_t filter_memory(struct sock_filter *at, uint32_t number) {
    const struct sock_filter rule[] = {
        IF_EQUAL(number, 0, 4),           LOAD(args[2]),
        IF_BITS(PROT_EXEC, 1, 0),         RETURN(SECCOMP_RET_ALLOW),
        RETURN(SECCOMP_RET_KILL_PROCESS),
    };
    memcpy(at, rule, sizeof rule);
    return sizeof rule / sizeof rule[0];
}

/* ioctl: the security module's one request. */
static size_t filter_ioctl(struct sock_filter *at) {
    const struct sock_filter rule[] = {
        IF_EQUAL(__NR_ioctl, 0, 4),       LOAD(args[1]),
        IF_EQUAL(NSM_IOCTL, 0, 1),        RETURN(SECCOMP_RET_ALLOW),
        RETURN(SECCOMP_RET_KILL_PROCESS),
    };
    memcpy(at, rule, sizeof rule);
    return sizeof rule / sizeof rule[0];
}

static inline int filter_install(void) {
    struct sock_filter code[2 * ALLOWED + 32];
    size_t size = 0;
    const struct sock_filter begin[] = {
        LOAD(arch), IF_EQUAL(ARCHITECTURE, 1, 0), RETURN(SECCOMP_RET_KILL_PROCESS),
        LOAD(nr), /* x32 has numbers of its own, which are not in the list */
    };
    memcpy(code, begin, sizeof begin);
    size += sizeof begin / sizeof begin[0];
    for (size_t i = 0; i < ALLOWED; i++) {
        code[size++] = (struct sock_filter)IF_EQUAL(allowed[i], 0, 1);
        code[size++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
    }
    size += filter_memory(code + size, __NR_mmap);
    size += filter_memory(code + size, __NR_mprotect);
    size += filter_ioctl(code + size);
    code[size++] = (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog program = {.len = (unsigned short)size, .filter = code};
    return syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0
               ? 0
               : failed("seccomp");
}

int harden_calls(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(SENTINEL_COVERAGE)
    return 0; /* What instruments it makes calls of its own. */
#else
    return filter_install();
#endif
}

/* ---- Rights ------------------------------------------------------------------- */

int harden_rights(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2];
    memset(none, 0, sizeof none);
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
        (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* EPERM where there are none */
    }
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(__NR_capset, &header, none) != 0) {
        return failed("capabilities");
    }
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : failed("no new privileges");
}
