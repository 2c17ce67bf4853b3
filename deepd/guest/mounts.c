/* What a box shows. Everything of this machine is opened before the root is changed, and put in place after it:
 * so no path from inside is ever resolved outside, whatever links an agent has planted in its folders.
 *
 * It takes the mount calls of Linux 5.12, by number: the C library may be older than the kernel.
 */
#include "box.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_open_tree
#define SYS_open_tree 428
#define SYS_move_mount 429
#define SYS_fsopen 430
#define SYS_fsconfig 431
#define SYS_fsmount 432
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

enum {
    TREE_CLONE = 1, TREE_CLOEXEC = O_CLOEXEC, TREE_RECURSIVE = 0x8000, TREE_EMPTY_PATH = 0x1000,
    MOVE_FROM_FD = 4, FS_CLOEXEC = 1, FS_SET_TEXT = 1, FS_CREATE = 6,
    READ_ONLY = 1, NO_SUID = 2, NO_DEV = 4, NO_EXEC = 8,
};
struct attributes { uint64_t set, clear, propagation, user_namespace; };

static const char *const devices[] = {"null", "zero", "full", "random", "urandom", "tty"};
enum { DEVICES = sizeof devices / sizeof *devices };
static int device_trees[DEVICES], terminals = -1;
static const char *const kernel_settings[] = {"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"};

static int restrict_tree(int tree, uint64_t set, bool whole)
{
    struct attributes attributes = {.set = set};
    int flags = TREE_EMPTY_PATH | (whole ? TREE_RECURSIVE : 0);
    return (int)syscall(SYS_mount_setattr, tree, "", flags, &attributes, sizeof attributes);
}

static int clone_tree(const char *path, bool whole, uint64_t set)
{
    int flags = TREE_CLONE | TREE_CLOEXEC | (whole ? TREE_RECURSIVE : 0);
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, flags);
    return tree >= 0 && restrict_tree(tree, set, whole) < 0 ? -1 : tree;
}

static int new_filesystem(const char *type, const char *const options[][2], uint64_t set)
{
    int context = (int)syscall(SYS_fsopen, type, FS_CLOEXEC);
    if (context < 0)
        return -1;
    for (; options && (*options)[0]; options++)
        if (syscall(SYS_fsconfig, context, FS_SET_TEXT, (*options)[0], (*options)[1], 0) < 0)
            return -1;
    if (syscall(SYS_fsconfig, context, FS_CREATE, NULL, NULL, 0) < 0)
        return -1;
    int tree = (int)syscall(SYS_fsmount, context, FS_CLOEXEC, set);
    close(context);
    return tree;
}

static int put(int tree, const char *target)
{
    int moved = (int)syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_FROM_FD);
    return close(tree) < 0 ? -1 : moved;
}

/* ---- before the root is changed */

static const char *take_devices(void)
{
    static const char *const options[][2] = {{"ptmxmode", "0666"}, {"mode", "620"}, {NULL, NULL}};
    for (int i = 0; i < DEVICES; i++) {
        char path[32];
        snprintf(path, sizeof path, "/dev/%s", devices[i]);
        if ((device_trees[i] = clone_tree(path, false, NO_SUID | NO_EXEC)) < 0 && errno != ENOENT)
            return "cannot take hold of a device";
    }
    terminals = new_filesystem("devpts", options, NO_SUID | NO_EXEC);
    return terminals < 0 ? "cannot make terminals" : NULL;
}

static const char *take(struct mount_wish *wish)
{
    struct stat status;
    switch (wish->kind) {
    case M_BIND:
        wish->tree = clone_tree(wish->source, true, NO_SUID | NO_DEV | (wish->read_only ? READ_ONLY : 0));
        if (wish->tree < 0)
            return errno == ENOENT && wish->may_be_missing ? NULL : wish->source;
        wish->is_folder = fstat(wish->tree, &status) == 0 && S_ISDIR(status.st_mode);
        return NULL;
    case M_PROC:
        wish->tree = new_filesystem("proc", NULL, NO_SUID | NO_DEV | NO_EXEC);
        return wish->tree < 0 ? "cannot make /proc" : NULL;
    case M_DEV:
        return take_devices();
    default:
        return NULL;
    }
}

const char *mounts_take(struct mount_table *table)
{
    const char *failed = NULL;
    for (int i = 0; i < table->count && !failed; i++)
        failed = take(&table->wishes[i]);
    return failed;
}

/* ---- the root */

static int make_tmpfs(const struct mount_wish *wish)
{
    char mode[8];
    snprintf(mode, sizeof mode, "%o", wish->mode);
    const char *const options[][2] = {{"mode", mode}, {wish->size ? "size" : NULL, wish->size}, {NULL, NULL}};
    return new_filesystem("tmpfs", options, NO_SUID | NO_DEV);
}

const char *mounts_enter(struct mount_table *table)
{
    if (!table->count || table->wishes[0].kind != M_TMPFS || strcmp(table->wishes[0].target, "/") != 0) {
        errno = EINVAL;
        return "the first mount must be the root";
    }
    int root = make_tmpfs(&table->wishes[0]);
    /* Any folder will do: nothing of this machine is looked for any more. */
    if (root < 0 || put(root, "/proc") < 0)
        return "cannot make its root";
    if (chdir("/proc") < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
        return "cannot change its root";
    return umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 ? "cannot leave the former root" : NULL;
}

/* ---- after it was changed */

static int make_folder(const char *path, mode_t mode)
{
    char parents[PATH_MAX];
    snprintf(parents, sizeof parents, "%s", path);
    if (make_parents(parents) < 0 || (mkdir(path, mode) < 0 && errno != EEXIST))
        return -1;
    struct stat status;
    return stat(path, &status);
}

static int make_file(const char *path)
{
    char parents[PATH_MAX];
    snprintf(parents, sizeof parents, "%s", path);
    if (make_parents(parents) < 0)
        return -1;
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    if (fd >= 0)
        return close(fd);
    return errno == EEXIST ? 0 : -1;
}

static const char *place_devices(const struct mount_wish *wish)
{
    static const char *const links[][2] = {
        {"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
        {"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"},
    };
    char path[PATH_MAX];
    int root = make_tmpfs(wish);
    if (root < 0 || make_folder(wish->target, 0755) < 0 || put(root, wish->target) < 0)
        return wish->target;
    for (int i = 0; i < DEVICES; i++) {
        snprintf(path, sizeof path, "%s/%s", wish->target, devices[i]);
        if (device_trees[i] >= 0 && (make_file(path) < 0 || put(device_trees[i], path) < 0))
            return devices[i];
    }
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        snprintf(path, sizeof path, "%s/%s", wish->target, links[i][1]);
        if (symlink(links[i][0], path) < 0)
            return links[i][1];
    }
    snprintf(path, sizeof path, "%s/pts", wish->target);
    return make_folder(path, 0755) < 0 || put(terminals, path) < 0 ? "pts" : NULL;
}

/* Root of no user namespace could change the kernel's settings by them. */
static const char *close_settings(void)
{
    for (size_t i = 0; i < sizeof kernel_settings / sizeof *kernel_settings; i++) {
        int tree = clone_tree(kernel_settings[i], true, READ_ONLY | NO_SUID | NO_DEV | NO_EXEC);
        if (tree < 0 ? errno != ENOENT : put(tree, kernel_settings[i]) < 0)
            return kernel_settings[i];
    }
    return NULL;
}

static const char *place_one(const struct mount_wish *wish)
{
    char parents[PATH_MAX];
    int root;
    switch (wish->kind) {
    case M_BIND:
        if (wish->tree < 0)
            return NULL;
        if ((wish->is_folder ? make_folder(wish->target, 0755) : make_file(wish->target)) < 0)
            return wish->target;
        return put(wish->tree, wish->target) < 0 ? wish->target : NULL;
    case M_PROC:
        if (make_folder(wish->target, 0755) < 0 || put(wish->tree, wish->target) < 0)
            return wish->target;
        return close_settings();
    case M_DEV:
        return place_devices(wish);
    case M_TMPFS:
        root = make_tmpfs(wish);
        return root < 0 || make_folder(wish->target, 0755) < 0 || put(root, wish->target) < 0 ? wish->target : NULL;
    case M_FOLDER:
        return make_folder(wish->target, 0755) < 0 ? wish->target : NULL;
    case M_LINK:
        snprintf(parents, sizeof parents, "%s", wish->target);
        return make_parents(parents) < 0 || symlink(wish->source, wish->target) < 0 ? wish->target : NULL;
    }
    return "an unknown mount";
}

const char *mounts_place(struct mount_table *table)
{
    const char *failed = NULL;
    for (int i = 1; i < table->count && !failed; i++)
        failed = place_one(&table->wishes[i]);
    if (failed || !table->read_only_root)
        return failed;
    struct attributes attributes = {.set = READ_ONLY};
    return syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &attributes, sizeof attributes) < 0 ? "/" : NULL;
}
