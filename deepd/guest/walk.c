/* WALK, SCAN and REMOVE: folders and all below them. No link is followed; memory grows with folders, not depth. */
#include "guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPTION_SKIP_HIDDEN = 1, OPTION_BINARY = 2, OPTION_WHOLE = 1, DEFAULT_ENTRIES = 1000000, SNIFF = 8192, CHUNK = 64 << 10 };
enum { OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK };
static const uint64_t DEFAULT_LARGEST = 16 << 20;

/* ---- walking */

struct folder { struct folder *next; char path[]; };

struct walk {
    const struct request *request;
    int root;
    struct folder *waiting;
    uint64_t entries, most, largest, unreadable;
};

static void push(struct walk *walk, const char *path)
{
    struct folder *folder = malloc(sizeof *folder + strlen(path) + 1);
    if (!folder)
        done(ENOMEM, "%.150s", walk->request->path);
    strcpy(folder->path, path);
    folder->next = walk->waiting;
    walk->waiting = folder;
}

/* Exactly `size` bytes, whatever the file has become: the record before them promised so. */
static void emit_file(int fd, uint8_t *first, size_t got, uint64_t size)
{
    while (size) {
        if (got > size)
            got = (size_t)size;
        emit(first, got);
        size -= got;
        if (!size)
            return;
        ssize_t more = got ? read(fd, first, CHUNK) : 0;
        if (more <= 0) {
            memset(first, 0, CHUNK);
            more = CHUNK;
        }
        got = (size_t)more;
    }
}

/* Whether the needle is in a file whose first bytes were read already; its offset stays where it is. */
static bool contains(const char *needle, int fd, const uint8_t *first, size_t got)
{
    static uint8_t window[CHUNK];
    size_t length = strlen(needle), kept = 0;
    if (!length || memmem(first, got, needle, length))
        return true;
    if (length > CHUNK / 2)
        return true; /* nobody looks for that; the owner finds out by itself */
    for (off_t at = (off_t)got;;) {
        if (!kept && got) { /* it may begin in what was read and end in what follows */
            kept = got < length - 1 ? got : length - 1;
            memcpy(window, first + got - kept, kept);
        }
        ssize_t more = pread(fd, window + kept, sizeof window - kept, at);
        if (more <= 0)
            return more < 0;
        at += more;
        size_t filled = kept + (size_t)more;
        if (memmem(window, filled, needle, length))
            return true;
        kept = filled < length - 1 ? filled : length - 1;
        memmove(window, window + filled - kept, kept);
        got = 0;
    }
}

static void scan_file(struct walk *walk, int folder, const char *name, const char *path)
{
    static uint8_t chunk[CHUNK];
    struct stat status;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
    if (fd < 0) {
        walk->unreadable += errno != ELOOP && errno != ENOENT;
        return;
    }
    ssize_t got = 0;
    bool wanted = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (uint64_t)status.st_size <= walk->largest;
    if (wanted && (got = read(fd, chunk, sizeof chunk)) < 0) {
        walk->unreadable++;
        wanted = false;
    }
    if (wanted && !(walk->request->options & OPTION_BINARY))
        wanted = !memchr(chunk, 0, (size_t)(got < SNIFF ? got : SNIFF));
    if (wanted && contains(walk->request->needle, fd, chunk, (size_t)got)) {
        emit_record(folder, name, path, &status);
        emit_file(fd, chunk, (size_t)got, (uint64_t)status.st_size);
    }
    close(fd);
}

static bool glob_matches(const struct walk *walk, const char *name)
{
    return !*walk->request->glob || fnmatch(walk->request->glob, name, 0) == 0;
}

static void visit(struct walk *walk, int folder, const struct dirent *entry, const char *path)
{
    struct stat status;
    bool is_scan = walk->request->kind == K_SCAN;
    if (is_scan && entry->d_type == DT_REG) { /* looked at once it is open */
        if (glob_matches(walk, entry->d_name))
            scan_file(walk, folder, entry->d_name, path);
        return;
    }
    bool is_told = glob_matches(walk, entry->d_name);
    if (!is_told && entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)
        return;
    if (fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return; /* gone meanwhile */
    if (!is_scan && is_told)
        emit_record(folder, entry->d_name, path, &status);
    else if (is_scan && is_told && S_ISREG(status.st_mode))
        scan_file(walk, folder, entry->d_name, path);
    if (S_ISDIR(status.st_mode))
        push(walk, path);
}

static _Noreturn void ended(const struct walk *walk, bool whole)
{
    char note[MAX_NOTE] = "";
    if (walk->unreadable)
        snprintf(note, sizeof note, "%llu could not be read", (unsigned long long)walk->unreadable);
    if (!whole)
        done_in_part(note[0] ? note : "there are more entries");
    done(0, "%s", note);
}

static void walk_folder(struct walk *walk, const char *path)
{
    char below[PATH_MAX];
    int fd = openat(walk->root, *path ? path : ".", OPEN_FOLDER);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        walk->unreadable++;
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        if (walk->request->options & OPTION_SKIP_HIDDEN && *name == '.')
            continue;
        if (walk->entries++ == walk->most)
            ended(walk, false);
        if (snprintf(below, sizeof below, "%s%s%s", path, *path ? "/" : "", name) >= (int)sizeof below)
            walk->unreadable++;
        else
            visit(walk, fd, entry, below);
    }
    closedir(folder);
}

static void scan_one(struct walk *walk)
{
    const char *path = walk->request->path, *slash = strrchr(path, '/');
    char real[PATH_MAX];
    if (!realpath(path, real))
        done(errno, "%.150s", path);
    const char *name = slash && slash[1] ? slash + 1 : path;
    if (glob_matches(walk, name))
        scan_file(walk, AT_FDCWD, real, name);
    ended(walk, true);
}

_Noreturn void file_walk(struct request *request)
{
    struct walk walk = {
        .request = request,
        .most = request->size ? request->size : DEFAULT_ENTRIES,
        .largest = request->offset ? request->offset : DEFAULT_LARGEST,
    };
    struct stat status;
    if (stat(request->path, &status) < 0)
        done(errno, "%.150s", request->path);
    if (request->kind == K_SCAN && S_ISREG(status.st_mode))
        scan_one(&walk);
    walk.root = open(request->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    if (walk.root < 0)
        done(errno, "%.150s", request->path);
    walk_folder(&walk, "");
    while (walk.waiting) {
        struct folder *folder = walk.waiting;
        walk.waiting = folder->next;
        walk_folder(&walk, folder->path);
        free(folder);
    }
    ended(&walk, true);
}

/* ---- removing: down into the first folder that is not empty, up again when it is; two descriptors at any depth */

struct level { struct level *above; dev_t device; ino_t inode; char name[]; };

static struct level *descend(struct level *above, int *at, const char *name)
{
    struct stat status;
    struct level *level = malloc(sizeof *level + strlen(name) + 1);
    if (!level || fstat(*at, &status) < 0)
        done(level ? errno : ENOMEM, "%.150s", name);
    int inner = openat(*at, name, OPEN_FOLDER);
    if (inner < 0)
        done(errno, "%.150s", name);
    close(*at);
    *at = inner;
    level->above = above;
    level->device = status.st_dev;
    level->inode = status.st_ino;
    strcpy(level->name, name);
    return level;
}

static struct level *ascend(struct level *level, int *at)
{
    struct stat status;
    struct level *above = level->above;
    int outer = openat(*at, "..", OPEN_FOLDER);
    if (outer < 0 || fstat(outer, &status) < 0)
        done(errno, "%.150s", level->name);
    if (status.st_dev != level->device || status.st_ino != level->inode)
        done(ESTALE, "%.150s was moved meanwhile", level->name);
    if (unlinkat(outer, level->name, AT_REMOVEDIR) < 0 && errno != ENOENT && errno != ENOTEMPTY)
        done(errno, "%.150s", level->name);
    close(*at);
    *at = outer;
    free(level);
    return above;
}

/* Remove what can be removed at once; true with the name of a folder that is not empty. */
static bool empty_folder(int at, char name[NAME_MAX + 1])
{
    bool found = false;
    int copy = openat(at, ".", OPEN_FOLDER);
    DIR *folder = copy < 0 ? NULL : fdopendir(copy);
    if (!folder)
        done(errno, "cannot read a folder");
    for (struct dirent *entry; !found && (entry = readdir(folder));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(at, entry->d_name, 0) == 0 || errno == ENOENT)
            continue;
        if (errno == EISDIR && (unlinkat(at, entry->d_name, AT_REMOVEDIR) == 0 || errno == ENOENT))
            continue;
        if (errno != ENOTEMPTY && errno != EEXIST)
            done(errno, "%.150s", entry->d_name);
        snprintf(name, NAME_MAX + 1, "%s", entry->d_name);
        found = true;
    }
    closedir(folder);
    return found;
}

static void remove_below(int at)
{
    struct level *level = NULL;
    char name[NAME_MAX + 1];
    for (;;) {
        if (empty_folder(at, name))
            level = descend(level, &at, name);
        else if (level)
            level = ascend(level, &at);
        else
            break;
    }
    close(at);
}

_Noreturn void file_remove(struct request *request)
{
    const char *path = request->path;
    struct stat status;
    if (lstat(path, &status) < 0)
        done(errno, "%.150s", path);
    if (!S_ISDIR(status.st_mode)) {
        if (unlink(path) < 0)
            done(errno, "%.150s", path);
        done(0, "%s", "");
    }
    if (request->options & OPTION_WHOLE) {
        int at = open(path, OPEN_FOLDER);
        if (at < 0)
            done(errno, "%.150s", path);
        remove_below(at);
    }
    if (rmdir(path) < 0)
        done(errno, "%.150s", path);
    done(0, "%s", "");
}
