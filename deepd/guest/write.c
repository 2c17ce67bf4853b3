/* WRITE: all of it, or nothing changes.
 *
 * The bytes go to a temporary file beside the target, which then takes the target's place by rename. Where that
 * cannot be (the folder or the file is somebody else's, or the file is a mount) they are put by and copied
 * over the target in one go after the last one came. Appending does the same at the target's end.
 */
#include "guest.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_LINKS = 40, CHUNK = 256 << 10, MAX_IN_MEMORY = 64 << 20 };
enum { OPTION_NEW = 1, OPTION_APPEND = 2, OPTION_PARENTS = 4 };

static char temporary[PATH_MAX]; /* empty: none */

static void remove_temporary(void)
{
    if (temporary[0])
        (void)unlink(temporary);
    temporary[0] = 0;
}

static void on_term(int number)
{
    remove_temporary();
    _exit(128 + number);
}

static _Noreturn void fail(int error, const char *path)
{
    remove_temporary();
    done(error, "%.150s", path);
}

/* The folder's part of a path, with its last slash; empty for a bare name. */
static size_t folder_size(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* Follow links at the end of a path, which need not lead to anything. */
static bool follow_links(const char *path, char target[PATH_MAX])
{
    char text[PATH_MAX];
    if ((size_t)snprintf(target, PATH_MAX, "%s", path) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    for (int links = 0; links < MAX_LINKS; links++) {
        ssize_t size = readlink(target, text, sizeof text);
        if (size < 0)
            return errno == EINVAL || errno == ENOENT;
        size_t kept = text[0] == '/' ? 0 : folder_size(target);
        if (kept + (size_t)size >= PATH_MAX) {
            errno = ENAMETOOLONG;
            return false;
        }
        memcpy(target + kept, text, (size_t)size);
        target[kept + (size_t)size] = 0;
    }
    errno = ELOOP;
    return false;
}

static bool still_matches(const struct request *request, const char *target)
{
    struct stat status;
    if (!request->has_match)
        return true;
    if (stat(target, &status) < 0)
        return false;
    uint64_t mtime = (uint64_t)status.st_mtim.tv_sec * 1000000000u + (uint64_t)status.st_mtim.tv_nsec;
    return mtime == request->match_mtime && status.st_ino == request->match_inode
        && (uint64_t)status.st_size == request->match_size;
}

/* Where the bytes wait: beside the target, else in memory when there is a file to copy them over. */
static int open_temporary(const char *target, bool exists, uint64_t size)
{
    uint8_t random[8] = {0};
    char name[PATH_MAX];
    if (getrandom(random, sizeof random, 0) < 0)
        return -1;
    int length = snprintf(name, sizeof name, "%.*s.deepd-%016llx.tmp", (int)folder_size(target), target,
                          (unsigned long long)get64(random));
    if (length >= (int)sizeof name) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(temporary, name, (size_t)length + 1); /* before it is there: TERM may come right after */
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        temporary[0] = 0;
    if (fd >= 0 || !exists || size > MAX_IN_MEMORY || (errno != EACCES && errno != EPERM && errno != EROFS))
        return fd;
    int error = errno;
    fd = memfd_create("deepd", MFD_CLOEXEC);
    if (fd < 0)
        errno = error;
    return fd;
}

static void write_piece(int fd, const uint8_t *data, size_t size, const char *path)
{
    while (size) {
        ssize_t written = write(fd, data, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            fail(errno, path);
        data += written;
        size -= (size_t)written;
    }
}

/* What was given is sealed and of the right size: it was looked at when it came. */
static void take_given(int fd, const struct request *request)
{
    uint64_t copied;
    if (!copy_bytes(0, fd, request->size, &copied))
        fail(errno, request->path);
    if (copied != request->size)
        fail(EIO, request->path);
}

static void receive(int fd, const struct request *request)
{
    static uint8_t chunk[CHUNK];
    uint64_t received = 0;
    if (request->given) {
        take_given(fd, request);
        return;
    }
    for (;;) {
        ssize_t got = read(0, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            fail(errno, request->path);
        if (got == 0)
            break;
        received += (uint64_t)got;
        if (received > request->size)
            break;
        write_piece(fd, chunk, (size_t)got, request->path);
    }
    if (received == request->size)
        return;
    remove_temporary();
    done(EINVAL, "%.120s: %s bytes came than the %llu that were announced", request->path,
         received > request->size ? "more" : "fewer", (unsigned long long)request->size);
}

/* Copy what waits to the target itself; at its end, or over it. Undone when the disk is full while appending. */
static bool copy_over(int from, const char *target, uint64_t size, bool append, uint64_t old_size)
{
    uint64_t copied;
    int to = open(target, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | (append ? O_APPEND : O_TRUNC));
    if (to < 0 || lseek(from, 0, SEEK_SET) < 0)
        return false;
    bool ok = copy_bytes(from, to, size, &copied) && copied == size;
    int error = errno;
    if (!ok && append && ftruncate(to, (off_t)old_size) < 0)
        error = errno;
    close(to);
    errno = error;
    return ok;
}

/* Give the temporary file the target's owner; false when this user cannot. */
static bool take_owner(int fd, const struct stat *old)
{
    struct stat mine;
    if (fstat(fd, &mine) < 0)
        return false;
    return (mine.st_uid == old->st_uid && mine.st_gid == old->st_gid) || fchown(fd, old->st_uid, old->st_gid) == 0;
}

static mode_t wanted_mode(const struct request *request, const struct stat *old)
{
    if (request->mode != NO_MODE)
        return request->mode & 07777;
    return old ? old->st_mode & 07777 : 0644;
}

static bool replace(int fd, const struct request *request, const char *target, const struct stat *old)
{
    bool may_rename = temporary[0] && (!old || take_owner(fd, old));
    if (may_rename) {
        if (fchmod(fd, wanted_mode(request, old)) < 0)
            return false;
        bool only_new = request->options & OPTION_NEW || (request->options & OPTION_APPEND && !old);
        int renamed = only_new ? rename_new(temporary, target) : rename(temporary, target);
        if (renamed == 0) {
            temporary[0] = 0;
            return true;
        }
        if (!old || (errno != EBUSY && errno != EPERM && errno != EACCES))
            return false;
    }
    if (!copy_over(fd, target, request->size, false, 0))
        return false;
    return request->mode == NO_MODE || chmod(target, request->mode & 07777) == 0;
}

/* Whether there is a file to replace. Ends the operation when it is something else, or may not be written. */
static bool look_at_target(const struct request *request, const char *target, struct stat *old)
{
    if (fstatat(AT_FDCWD, target, old, request->options & OPTION_NEW ? AT_SYMLINK_NOFOLLOW : 0) < 0) {
        if (errno != ENOENT)
            fail(errno, request->path);
        return false;
    }
    if (request->options & OPTION_NEW)
        fail(EEXIST, request->path);
    if (!S_ISREG(old->st_mode))
        fail(S_ISDIR(old->st_mode) ? EISDIR : EINVAL, request->path);
    if (access(target, W_OK) < 0)
        fail(errno, request->path);
    return true;
}

_Noreturn void file_write(struct request *request)
{
    char target[PATH_MAX];
    struct stat old;
    if (!follow_links(request->path, target))
        fail(errno, request->path);
    if (request->options & OPTION_NEW)
        snprintf(target, sizeof target, "%s", request->path); /* a link there is something that exists */
    if (!target[folder_size(target)])
        fail(EISDIR, request->path);
    if (request->options & OPTION_PARENTS && make_parents(target) < 0)
        fail(errno, request->path);
    bool exists = look_at_target(request, target, &old);
    if (!still_matches(request, target))
        fail(ESTALE, request->path);
    (void)signal(SIGTERM, on_term);
    int fd = open_temporary(target, exists, request->size);
    if (fd < 0)
        fail(errno, request->path);
    receive(fd, request);
    if (!still_matches(request, target))
        fail(ESTALE, request->path);
    bool appends = request->options & OPTION_APPEND;
    bool ok = appends && exists ? copy_over(fd, target, request->size, true, (uint64_t)old.st_size)
                                : replace(fd, request, target, exists ? &old : NULL);
    if (!ok && appends && errno == EEXIST && look_at_target(request, target, &old)) /* made meanwhile: keep it */
        ok = copy_over(fd, target, request->size, true, (uint64_t)old.st_size);
    if (!ok)
        fail(errno, request->path);
    remove_temporary();
    if (stat(target, &old) < 0)
        fail(errno, request->path);
    emit_record(AT_FDCWD, target, request->path, &old);
    done(0, "%s", "");
}
