/* Filter: no namespace of users for what the guest starts, in which any process is root again and may mount. */
#include "guest.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined __x86_64__
#define NATIVE AUDIT_ARCH_X86_64
#define OTHER AUDIT_ARCH_I386                               /* the same machine's programs of 32 bits */
enum { OTHER_CLONE = 120, OTHER_UNSHARE = 310, X32 = 0x40000000 };
#elif defined __aarch64__
#define NATIVE AUDIT_ARCH_AARCH64
#define OTHER AUDIT_ARCH_ARM
enum { OTHER_CLONE = 120, OTHER_UNSHARE = 337, X32 = 0 };
#endif

#ifdef NATIVE
enum { CLONE3 = 435 };                                      /* everywhere; its flags are where no filter can look */

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF(value, then, otherwise) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, then, otherwise)
#define GIVE(action) BPF_STMT(BPF_RET | BPF_K, action)

static const struct sock_filter no_users[] = {
    LOAD(arch),
    IF(OTHER, 6, 0),                                        /* to its numbers */
    IF(NATIVE, 0, 13),                                      /* what is not known cannot be looked at: not there */
    LOAD(nr),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~(uint32_t)X32),
    IF(CLONE3, 10, 0),
    IF(__NR_clone, 5, 0),
    IF(__NR_unshare, 4, 7),
    LOAD(nr),                                               /* of the other kind */
    IF(CLONE3, 6, 0),
    IF(OTHER_CLONE, 1, 0),
    IF(OTHER_UNSHARE, 0, 3),
    LOAD(args[0]),                                          /* its lower half: both are little-endian */
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_NEWUSER, 0, 1),
    GIVE(SECCOMP_RET_ERRNO | EPERM),
    GIVE(SECCOMP_RET_ALLOW),
    GIVE(SECCOMP_RET_ERRNO | ENOSYS),                       /* then the C library takes clone */
};
#endif

bool forbid_users(void)
{
#ifdef NATIVE
    struct sock_fprog program = {sizeof no_users / sizeof *no_users, (struct sock_filter *)no_users};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
#else
    errno = ENOSYS;
    return false;
#endif
}
