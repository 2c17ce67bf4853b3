/* File operations: each runs in a process of its own, as the sandbox's user, and ends by done(). */
#include "guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CHUNK = 64 << 10, PASS_LEAST = 128 << 10, SEND_MOST = 1 << 30, RECORD_FIXED = 39 };
enum { OPTION_NO_FOLLOW = 1, OPTION_PARENTS = 1, OPTION_NO_REPLACE = 1, OPTION_MISSING = 1, OPTION_PASS = 1 };

/* ---- how it went */

static int passed; /* goes to the owner; 0: nothing */

static _Noreturn void end(int error, uint32_t code, const char *note)
{
    struct shim_message message = {.what = APPLET_DONE, .value = (uint32_t)error, .code = code};
    emit_flush();
    snprintf(message.note, sizeof message.note, "%s", note);
    (void)send_passing(FD_CONTROL, &message, sizeof message, passed > 0 ? passed : 0, 0); /* no guest: nobody to tell */
    _exit(0);
}

_Noreturn void done(int error, const char *format, ...)
{
    char note[MAX_NOTE], text[MAX_NOTE];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    if (error)
        snprintf(note, sizeof note, "%.180s: %s", text, strerror(error));
    end(error, error != 0, error ? note : text);
}

_Noreturn void done_in_part(const char *note) { end(EOVERFLOW, 0, note); }

/* ---- what it answers */

static uint8_t buffer[CHUNK];
static size_t buffered;

static void write_all(const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t sent = write(1, data, size);
        if (sent < 0 && errno != EINTR)
            _exit(1); /* nobody reads any more */
        if (sent > 0) {
            data += sent;
            size -= (size_t)sent;
        }
    }
}

void emit_flush(void)
{
    size_t size = buffered;
    buffered = 0;
    write_all(buffer, size);
}

void emit(const void *data, size_t size)
{
    if (size > sizeof buffer - buffered)
        emit_flush();
    if (size > sizeof buffer) {
        write_all(data, size);
        return;
    }
    memcpy(buffer + buffered, data, size);
    buffered += size;
}

static uint8_t kind_of(mode_t mode)
{
    if (S_ISREG(mode))
        return 1;
    if (S_ISDIR(mode))
        return 2;
    return S_ISLNK(mode) ? 3 : 4;
}

void emit_record(int folder, const char *path, const char *name, const struct stat *status)
{
    uint8_t head[4 + RECORD_FIXED];
    char target[PATH_MAX];
    size_t name_size = strlen(name);
    if (name_size > UINT16_MAX)
        name_size = UINT16_MAX;
    ssize_t target_size = S_ISLNK(status->st_mode) ? readlinkat(folder, path, target, sizeof target) : 0;
    if (target_size < 0)
        target_size = 0; /* it is gone or another by now */
    put32(head, (uint32_t)(RECORD_FIXED + name_size + (size_t)target_size));
    head[4] = kind_of(status->st_mode);
    put32(head + 5, status->st_mode & 07777);
    put32(head + 9, status->st_uid);
    put32(head + 13, status->st_gid);
    put64(head + 17, (uint64_t)status->st_size);
    put64(head + 25, (uint64_t)status->st_mtim.tv_sec * 1000000000u + (uint64_t)status->st_mtim.tv_nsec);
    put64(head + 33, status->st_ino);
    put16(head + 41, (uint16_t)name_size);
    emit(head, sizeof head);
    emit(name, name_size);
    emit(target, (size_t)target_size);
}

/* ---- shared steps */

/* By the kernel where it can, else by hand; false with errno. */
bool copy_bytes(int from, int to, uint64_t size, uint64_t *copied)
{
    static uint8_t chunk[CHUNK];
    bool by_kernel = true;
    *copied = 0;
    while (*copied < size) {
        uint64_t left = size - *copied;
        ssize_t got;
        if (by_kernel) {
            got = sendfile(to, from, NULL, left < SEND_MOST ? (size_t)left : SEND_MOST);
            if (got < 0 && (errno == EINVAL || errno == ENOSYS)) {
                by_kernel = false;
                continue;
            }
        } else {
            got = read(from, chunk, left < CHUNK ? (size_t)left : CHUNK);
            for (ssize_t at = 0, sent; at < got; at += sent)
                if ((sent = write(to, chunk + at, (size_t)(got - at))) < 0)
                    return false;
        }
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        if (got == 0)
            return true;
        *copied += (uint64_t)got;
    }
    return true;
}

/* Make all folders above the last part of a path, which is changed meanwhile. Returns -1 with errno. */
int make_parents(char *path)
{
    struct stat status;
    for (char *at = path + 1; *path && (at = strchr(at, '/')); at++) {
        *at = 0;
        int made = mkdir(path, 0777), error = errno;
        bool is_there = made == 0 || (stat(path, &status) == 0 && S_ISDIR(status.st_mode));
        *at = '/';
        if (!is_there) {
            errno = error == EEXIST ? ENOTDIR : error;
            return -1;
        }
    }
    return 0;
}

int rename_new(const char *from, const char *to)
{
    enum { NO_REPLACE = 1 };
    int result = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, NO_REPLACE);
    if (result == 0 || (errno != EINVAL && errno != ENOSYS))
        return result;
    return link(from, to) == 0 ? unlink(from) : -1; /* a file system without it; folders cannot */
}

/* ---- the operations */

static void file_stat(struct request *request)
{
    struct stat status;
    int flags = request->options & OPTION_NO_FOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
    if (fstatat(AT_FDCWD, request->path, &status, flags) < 0)
        done(errno, "%.150s", request->path);
    emit_record(AT_FDCWD, request->path, request->path, &status);
}

static void file_list(struct request *request)
{
    struct stat status;
    DIR *folder = opendir(request->path);
    if (!folder)
        done(errno, "%.150s", request->path);
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
            emit_record(dirfd(folder), entry->d_name, entry->d_name, &status);
    }
}

/* Few bytes are there sooner than a descriptor would be. */
static bool may_pass(const struct request *request, const struct stat *status)
{
    uint64_t size = (uint64_t)status->st_size, left = request->offset < size ? size - request->offset : 0;
    return request->options & OPTION_PASS && id_is_zero(request->id) && lane_is_open() && left >= PASS_LEAST
        && (!request->size || request->size >= PASS_LEAST);
}

static void file_read(struct request *request)
{
    struct stat status;
    uint64_t copied;
    int fd = open(request->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) < 0)
        done(errno == ENXIO ? EINVAL : errno, "%.150s", request->path);
    if (!S_ISREG(status.st_mode))
        done(S_ISDIR(status.st_mode) ? EISDIR : EINVAL, "%.150s", request->path);
    if (request->offset > INT64_MAX || lseek(fd, (off_t)request->offset, SEEK_SET) < 0)
        done(EINVAL, "%.150s: offset", request->path);
    emit_record(AT_FDCWD, request->path, request->path, &status);
    if (may_pass(request, &status) && (passed = fcntl(fd, F_DUPFD_CLOEXEC, FD_FIRST_FREE)) > 0)
        return;
    emit_flush();
    if (!copy_bytes(fd, 1, request->size ? request->size : UINT64_MAX, &copied))
        done(errno, "%.150s", request->path);
}

static void file_mkdir(struct request *request)
{
    struct stat status;
    bool parents = request->options & OPTION_PARENTS;
    if (parents && make_parents(request->path) < 0)
        done(errno, "%.150s", request->path);
    if (mkdir(request->path, 0777) < 0) {
        int error = errno;
        if (!parents || stat(request->path, &status) < 0 || !S_ISDIR(status.st_mode))
            done(error, "%.150s", request->path);
    } else if (request->mode != NO_MODE && chmod(request->path, request->mode & 07777) < 0) {
        done(errno, "%.150s", request->path);
    }
}

static void file_rename(struct request *request)
{
    bool keeps = request->options & OPTION_NO_REPLACE;
    if ((keeps ? rename_new(request->path, request->path2) : rename(request->path, request->path2)) < 0)
        done(errno, "%.90s to %.90s", request->path, request->path2);
}

static void file_realpath(struct request *request)
{
    char found[PATH_MAX];
    bool may_miss = request->options & OPTION_MISSING;
    if (!(may_miss ? real_or_missing(request->path, found) : realpath(request->path, found) != NULL))
        done(errno, "%.150s", request->path);
    if (!*found)
        memcpy(found, "/", 2);
    emit(found, strlen(found));
}

static void file_symlink(struct request *request)
{
    if (symlink(request->path2, request->path) < 0)
        done(errno, "%.150s", request->path);
}

static void file_chmod(struct request *request)
{
    if (chmod(request->path, request->mode & 07777) < 0)
        done(errno, "%.150s", request->path);
}

static void file_utime(struct request *request)
{
    int64_t time = (int64_t)request->offset, second = 1000000000;
    int64_t rest = ((time % second) + second) % second;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = (time - rest) / second, .tv_nsec = rest}};
    if (utimensat(AT_FDCWD, request->path, times, 0) < 0)
        done(errno, "%.150s", request->path);
}

_Noreturn void applet_run(struct request *request)
{
    const char *failed = become_user();
    if (failed)
        done(errno, "%s", failed);
    bool is_relative = *request->path != '/' || (request->kind == K_RENAME && *request->path2 != '/');
    if (chdir(place.work_dir) < 0 && is_relative)
        done(errno, "%.150s", place.work_dir);
    switch (request->kind) {
    case K_STAT: file_stat(request); break;
    case K_LIST: file_list(request); break;
    case K_READ: file_read(request); break;
    case K_WRITE: file_write(request);
    case K_MKDIR: file_mkdir(request); break;
    case K_REMOVE: file_remove(request);
    case K_RENAME: file_rename(request); break;
    case K_REALPATH: file_realpath(request); break;
    case K_WALK: case K_SCAN: file_walk(request);
    case K_SYMLINK: file_symlink(request); break;
    case K_CHMOD: file_chmod(request); break;
    case K_UTIME: file_utime(request); break;
    default: done(ENOSYS, "kind %u", request->kind);
    }
    done(0, "%s", "");
}
