/* The folders that calls need: `/`, the work dir, a HOME; and the one name that every machine knows.
 *
 * Root has no CAP_CHOWN and no CAP_DAC_OVERRIDE here. So root opens a folder for everybody, a process with the
 * user's credentials makes what the user is to own, and root closes the folder again.
 */
#include "guest.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STICKY_FOR_ALL = 01777 };
static const char HOME_MADE[] = "/home/sandbox";
static const char HOSTS[] = "/etc/hosts";
static const char LOCALHOST[] = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/* Do it in a process with the user's credentials; returns errno, 0 for success. */
static int as_user(int (*what)(const char *), const char *path)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(become_user() || what(path) < 0 ? errno & 255 : 0);
    int status;
    while (pid > 0 && waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    if (pid < 0)
        return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

static int make_folder(const char *path) { return mkdir(path, 0755) == 0 || errno == EEXIST ? 0 : -1; }

static int make_folders(const char *path)
{
    char copy[4096];
    snprintf(copy, sizeof copy, "%s", path);
    return make_parents(copy) < 0 ? -1 : make_folder(path);
}

static int write_in(const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return -1;
    if (!S_ISDIR(status.st_mode)) {
        errno = ENOTDIR;
        return -1;
    }
    return access(path, W_OK | X_OK);
}

static bool is_writable(const char *path) { return as_user(write_in, path) == 0; }

static void parent_of(const char *path, char parent[4096])
{
    snprintf(parent, 4096, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash == parent)
        slash++;
    if (slash)
        *slash = 0;
}

bool is_mount(const char *path)
{
    char parent[4096];
    struct stat inner, outer;
    parent_of(path, parent);
    return stat(path, &inner) == 0 && stat(parent, &outer) == 0 && inner.st_dev != outer.st_dev;
}

static bool may_prepare(void) { return place.is_init && geteuid() == 0 && !place.leaves_image; }

/* Make a folder that the user owns, in a folder that may be root's. */
static bool make_for_user(const char *path)
{
    if (as_user(make_folders, path) == 0)
        return true;
    char parent[4096];
    struct stat status;
    parent_of(path, parent);
    if (!may_prepare() || make_folders(parent) < 0 || stat(parent, &status) < 0 || chmod(parent, STICKY_FOR_ALL) < 0)
        return false;
    int error = as_user(make_folder, path);
    if (chmod(parent, status.st_mode & 07777) < 0)
        warn("cannot close %s again: %s", parent, strerror(errno));
    return error == 0;
}

void prepare_root(void)
{
    struct stat status;
    if (!may_prepare() || place.uid == 0 || stat("/", &status) < 0)
        return;
    if ((status.st_mode & 07777) != STICKY_FOR_ALL)
        (void)chmod("/", STICKY_FOR_ALL); /* a read-only root stays as it is */
    if (mkdir("/tmp", 0755) == 0 && chmod("/tmp", STICKY_FOR_ALL) < 0)
        warn("cannot open /tmp for all: %s", strerror(errno));
}

/* An engine that sets up no network writes no hosts either; what the image has of its own stays. */
void prepare_hosts(void)
{
    char text[4096];
    if (!place.names_localhost || !may_prepare())
        return;
    int fd = open(HOSTS, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (got >= 0)
        text[got] = 0;
    if (got < 0 || (!strstr(text, "localhost") && write(fd, LOCALHOST, sizeof LOCALHOST - 1) < 0))
        warn("cannot write localhost to %s: %s", HOSTS, strerror(errno));
    if (fd >= 0)
        close(fd);
}

void prepare_work_dir(void)
{
    struct stat status;
    if (stat(place.work_dir, &status) < 0 && !make_for_user(place.work_dir)) {
        warn("cannot make the work dir %.200s", place.work_dir);
        return;
    }
    if (is_writable(place.work_dir))
        return;
    if (may_prepare() && !is_mount(place.work_dir) && chmod(place.work_dir, STICKY_FOR_ALL) == 0 && is_writable(place.work_dir))
        return;
    if (stat(place.work_dir, &status) < 0)
        warn("cannot look at the work dir %.200s", place.work_dir);
    else
        warn("the work dir %.120s belongs to %u:%u, and calls run as %u:%u, which cannot write there", place.work_dir,
             status.st_uid, status.st_gid, place.uid, place.gid);
}

static bool is_a_home(const char *path) { return *path == '/' && path[1] && is_writable(path); }

const char *choose_home(const struct account *account)
{
    const char *given = getenv("HOME");
    if (is_a_home(account->home))
        return account->home;
    if (given && is_a_home(given))
        return given;
    if (may_prepare() && make_for_user(HOME_MADE) && is_a_home(HOME_MADE))
        return HOME_MADE;
    if (is_writable("/tmp"))
        return "/tmp";
    if (is_writable(place.work_dir))
        return place.work_dir;
    warn("no folder for HOME can be written");
    return "/";
}
