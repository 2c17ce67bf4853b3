/* Makes a box and becomes the command in it; the process that was started stays outside as its monitor. */
#include "box.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_BOX = 1, LAST_CAPABILITY = 63, BY_SIGNAL = 128 };

struct box {
    struct mount_table mounts;
    int namespaces, status_fd;
    bool own_user, no_more_users, may_unshare_cgroup;
    uint32_t kept;                                          /* capabilities */
    const char *hostname, *start_in;
    char **command;
    uid_t uid;
    gid_t gid;
};

static struct box box = {.status_fd = -1, .start_in = "/"};

static _Noreturn void fail(const char *what)
{
    dprintf(2, "guest: cannot make the sandbox: %s: %s\n", what, strerror(errno));
    exit(EXIT_BOX);
}

static _Noreturn void refuse(const char *what, const char *about)
{
    dprintf(2, "guest: --box: %s%s\n", what, about);
    exit(EXIT_BOX);
}

/* ---- options */

static struct { const char *size; unsigned mode; } next;    /* for the mount that is named next */

static void add_mount(enum mount_kind kind, const char *source, const char *target, bool read_only, bool may_be_missing)
{
    if (box.mounts.count == MAX_MOUNTS)
        refuse("too many mounts: ", target);
    if (*target != '/')
        refuse("not an absolute path: ", target);
    box.mounts.wishes[box.mounts.count++] = (struct mount_wish){
        .kind = kind, .source = source, .target = target, .read_only = read_only, .may_be_missing = may_be_missing,
        .mode = next.mode ? next.mode : 0755, .size = next.size, .tree = -1,
    };
    next.size = NULL;
    next.mode = 0;
}

static void keep_capability(const char *name)
{
    static const struct { const char *name; int number; } known[] = {
        {"CAP_SETUID", CAP_SETUID}, {"CAP_SETGID", CAP_SETGID}, {"CAP_KILL", CAP_KILL},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i].name) == 0) {
            box.kept |= 1u << known[i].number;
            return;
        }
    refuse("not a capability that a sandbox may keep: ", name);
}

static bool take_flag(const char *name)
{
    static const struct { const char *name; int namespace; } known[] = {
        {"--unshare-pid", CLONE_NEWPID}, {"--unshare-ipc", CLONE_NEWIPC}, {"--unshare-uts", CLONE_NEWUTS},
        {"--unshare-net", CLONE_NEWNET},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i].name) == 0) {
            box.namespaces |= known[i].namespace;
            return true;
        }
    if (strcmp(name, "--unshare-user") == 0)
        box.own_user = true;
    else if (strcmp(name, "--unshare-cgroup-try") == 0)
        box.may_unshare_cgroup = true;
    else if (strcmp(name, "--disable-userns") == 0)
        box.no_more_users = true;
    else if (strcmp(name, "--clearenv") == 0)
        clearenv();
    else
        return strcmp(name, "--as-pid-1") == 0 || strcmp(name, "--new-session") == 0; /* it always is */
    return true;
}

static bool take_one(const char *name, const char *value)
{
    if (strcmp(name, "--hostname") == 0)
        box.hostname = value;
    else if (strcmp(name, "--chdir") == 0)
        box.start_in = value;
    else if (strcmp(name, "--json-status-fd") == 0)
        box.status_fd = atoi(value);
    else if (strcmp(name, "--cap-add") == 0)
        keep_capability(value);
    else if (strcmp(name, "--size") == 0)
        next.size = value;
    else if (strcmp(name, "--perms") == 0)
        next.mode = (unsigned)strtoul(value, NULL, 8);
    else if (strcmp(name, "--tmpfs") == 0)
        add_mount(M_TMPFS, NULL, value, false, false);
    else if (strcmp(name, "--proc") == 0)
        add_mount(M_PROC, NULL, value, false, false);
    else if (strcmp(name, "--dev") == 0)
        add_mount(M_DEV, NULL, value, false, false);
    else if (strcmp(name, "--dir") == 0)
        add_mount(M_FOLDER, NULL, value, false, false);
    else if (strcmp(name, "--remount-ro") == 0 && strcmp(value, "/") == 0)
        box.mounts.read_only_root = true;
    else
        return strcmp(name, "--cap-drop") == 0 && strcmp(value, "ALL") == 0; /* they always are */
    return true;
}

static bool take_two(const char *name, const char *first, const char *second)
{
    if (strcmp(name, "--bind") == 0)
        add_mount(M_BIND, first, second, false, false);
    else if (strcmp(name, "--ro-bind") == 0)
        add_mount(M_BIND, first, second, true, false);
    else if (strcmp(name, "--ro-bind-try") == 0)
        add_mount(M_BIND, first, second, true, true);
    else if (strcmp(name, "--symlink") == 0)
        add_mount(M_LINK, first, second, false, false);
    else if (strcmp(name, "--setenv") == 0)
        return setenv(first, second, 1) == 0;
    else
        return false;
    return true;
}

static void read_options(int argc, char **argv)
{
    int at = 2;
    while (at < argc && strcmp(argv[at], "--") != 0) {
        int left = argc - at - 1;
        if (take_flag(argv[at]))
            at += 1;
        else if (left >= 1 && take_one(argv[at], argv[at + 1]))
            at += 2;
        else if (left >= 2 && take_two(argv[at], argv[at + 1], argv[at + 2]))
            at += 3;
        else
            refuse("no such option: ", argv[at]);
    }
    if (at + 1 >= argc)
        refuse("there is no command", "");
    box.command = argv + at + 1;
}

/* ---- namespaces */

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || close(fd) < 0)
        fail(path);
}

/* The one user that a new user namespace knows is the one that it was made by. */
static void map_user(bool may_set_groups)
{
    char text[64];
    if (may_set_groups)
        write_file("/proc/self/setgroups", "deny");
    snprintf(text, sizeof text, "%u %u 1\n", box.gid, box.gid);
    write_file("/proc/self/gid_map", text);
    snprintf(text, sizeof text, "%u %u 1\n", box.uid, box.uid);
    write_file("/proc/self/uid_map", text);
}

static void raise_loopback(void)
{
    struct ifreq request = {.ifr_flags = IFF_UP};
    snprintf(request.ifr_name, sizeof request.ifr_name, "lo");
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0 || close(fd) < 0)
        fail("loopback");
}

/* The namespace that is made next is the last: the limit counts for all below the present one. */
static void forbid_more_users(void)
{
    write_file("/proc/sys/user/max_user_namespaces", "1");
}

static void enter_last_user_namespace(void)
{
    if (unshare(CLONE_NEWUSER) < 0)
        fail("a second user namespace");
    map_user(false);
}

/* ---- credentials */

static void keep_only(uint32_t kept)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{.effective = kept, .permitted = kept}, {0}};
    for (int number = 0; number <= LAST_CAPABILITY; number++)
        if (!(number < 32 && kept >> number & 1) && prctl(PR_CAPBSET_DROP, number) < 0) {
            if (errno == EINVAL)
                break; /* there are no more */
            fail("the capability bounding set");
        }
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 || syscall(SYS_capset, &header, data) < 0)
        fail("capabilities");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        fail("no-new-privileges");
}

/* ---- the two processes */

static void check(const char *failed)
{
    if (failed)
        fail(failed);
}

static _Noreturn void become_command(void)
{
    if (box.own_user)
        map_user(true);
    if (box.hostname && sethostname(box.hostname, strlen(box.hostname)) < 0)
        fail("its name");
    if (box.may_unshare_cgroup)
        (void)unshare(CLONE_NEWCGROUP);
    if (mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        fail("mounts of its own");
    if (box.namespaces & CLONE_NEWNET)
        raise_loopback();
    check(mounts_take(&box.mounts));
    if (box.no_more_users)
        forbid_more_users();
    check(mounts_enter(&box.mounts));
    check(mounts_place(&box.mounts));
    if (box.no_more_users)
        enter_last_user_namespace();
    keep_only(box.kept);
    if (chdir(box.start_in) < 0)
        fail(box.start_in);
    execv(box.command[0], box.command);
    fail(box.command[0]);
}

static void tell(const char *what, int value)
{
    if (box.status_fd >= 0)
        dprintf(box.status_fd, "{\"%s\": %d}\n", what, value);
}

static _Noreturn void watch(pid_t child)
{
    int status;
    tell("child-pid", child);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            fail("waiting");
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : BY_SIGNAL + WTERMSIG(status);
    tell("exit-code", code);
    exit(code);
}

void box_run(int argc, char **argv)
{
    box.uid = geteuid();
    box.gid = getegid();
    read_options(argc, argv);
    umask(022);
    if (box.status_fd >= 0 && fcntl(box.status_fd, F_SETFD, FD_CLOEXEC) < 0)
        refuse("no such descriptor", "");
    int flags = box.namespaces | CLONE_NEWNS | (box.own_user ? CLONE_NEWUSER : 0);
    /* By number: what a C library does around a fork does not know of namespaces. */
    pid_t child = (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (child < 0)
        fail("namespaces");
    if (child == 0)
        become_command();
    watch(child);
}
