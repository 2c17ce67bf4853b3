/* What the guest does before it speaks: its arguments, the user and the shell for calls, the process itself. */
#include "guest.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEFAULT_ID = 1000, EXIT_USAGE = 2 };
static const char PATH_DEFAULT[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
static const char USER_MADE[] = "sandbox";

struct place place;

void warn(const char *format, ...)
{
    enum { MOST = sizeof place.warnings / sizeof *place.warnings };
    if (place.n_warnings == MOST)
        return;
    va_list values;
    va_start(values, format);
    vsnprintf(place.warnings[place.n_warnings++], sizeof place.warnings[0], format, values);
    va_end(values);
}

static _Noreturn void refuse(const char *what, const char *about)
{
    dprintf(2, "guest: %s%s\nusage: guest --work-dir PATH --user workspace|root|UID:GID --shell auto|PATH [--lane PATH] [--hosts] [--as-is] [--no-users]\n", what, about);
    exit(EXIT_USAGE);
}

/* ---- user, shell, environment */

static void wanted_user(const char *text, uid_t *uid, gid_t *gid)
{
    struct stat status;
    unsigned long numbers[2];
    char *end;
    *uid = *gid = strcmp(text, "root") == 0 ? 0 : DEFAULT_ID;
    if (strcmp(text, "root") == 0)
        return;
    if (strcmp(text, "workspace") == 0) {
        if (stat(place.work_dir, &status) == 0 && is_mount(place.work_dir)) {
            *uid = status.st_uid;
            *gid = status.st_gid;
        }
        return;
    }
    numbers[0] = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != ':' || end[1] < '0' || end[1] > '9')
        refuse("not a user: ", text);
    numbers[1] = strtoul(end + 1, &end, 10);
    if (*end || numbers[0] >= UINT32_MAX || numbers[1] >= UINT32_MAX)
        refuse("not a user: ", text);
    *uid = (uid_t)numbers[0];
    *gid = (gid_t)numbers[1];
}

static void choose_user(const char *text)
{
    uid_t uid;
    gid_t gid;
    wanted_user(text, &uid, &gid);
    place.uid = geteuid();
    place.gid = getegid();
    if (has_capability(CAP_SETUID) && has_capability(CAP_SETGID)) {
        place.uid = uid;
        place.gid = gid;
        place.switches = true;
    } else if (uid != place.uid || gid != place.gid) {
        warn("calls run as %u:%u and not as %u:%u: the guest may not switch user", place.uid, place.gid, uid, gid);
    }
    if (place.uid == 0 && strcmp(text, "workspace") == 0)
        warn("calls run as root, without capabilities, because root owns what is mounted at %.150s", place.work_dir);
}

static bool is_program(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_mode & 0111;
}

static bool find_program(const char *name, const char *path, char found[4096])
{
    for (const char *part = path; part && *part; part += *part == ':') {
        size_t size = strcspn(part, ":");
        int length = snprintf(found, 4096, "%.*s/%s", (int)size, part, name);
        if (size && length < 4096 && found[0] == '/' && is_program(found))
            return true;
        part += size;
    }
    found[0] = 0;
    return false;
}

static void choose_shell(const char *wanted)
{
    const char *path = getenv("PATH");
    if (strcmp(wanted, "auto") != 0) {
        if (is_program(wanted))
            snprintf(place.shell, sizeof place.shell, "%s", wanted);
        else
            warn("the shell %.150s is not in the image", wanted);
        return;
    }
    static const char *const names[] = {"bash", "sh"};
    for (int i = 0; i < 2; i++)
        if (find_program(names[i], path, place.shell) || find_program(names[i], PATH_DEFAULT, place.shell))
            return;
}

static void set_environment(const struct account *account)
{
    const char *name = account->name[0] ? account->name : USER_MADE;
    snprintf(place.user, sizeof place.user, "%s", name);
    if (setenv("HOME", place.home, 1) < 0 || setenv("USER", place.user, 1) < 0 || setenv("PATH", PATH_DEFAULT, 0) < 0)
        refuse("out of memory", "");
    place.env = environ;
}

/* ---- the process itself */

static void default_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL); /* some cannot be set, and need not */
    (void)signal(SIGPIPE, SIG_IGN);
}

static void open_standard_files(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

static const char *value_of(int argc, char **argv, int *at)
{
    if (*at + 1 >= argc)
        refuse("a value is missing after ", argv[*at]);
    return argv[++*at];
}

static void set_lane(const char *path)
{
    if (*path != '/' || strlen(path) >= sizeof place.lane)
        refuse("the lane's folder must be a short absolute path", "");
    snprintf(place.lane, sizeof place.lane, "%s", path);
}

void start(int argc, char **argv)
{
    const char *user = "workspace", *shell = "auto", *work_dir = NULL;
    for (int at = 1; at < argc; at++) {
        if (strcmp(argv[at], "--work-dir") == 0)
            work_dir = value_of(argc, argv, &at);
        else if (strcmp(argv[at], "--user") == 0)
            user = value_of(argc, argv, &at);
        else if (strcmp(argv[at], "--shell") == 0)
            shell = value_of(argc, argv, &at);
        else if (strcmp(argv[at], "--as-is") == 0)
            place.leaves_image = true;
        else if (strcmp(argv[at], "--no-users") == 0)
            place.has_no_users = true;
        else if (strcmp(argv[at], "--hosts") == 0)
            place.names_localhost = true;
        else if (strcmp(argv[at], "--lane") == 0)
            set_lane(value_of(argc, argv, &at));
        else
            refuse("no such argument: ", argv[at]);
    }
    if (!work_dir || *work_dir != '/' || strlen(work_dir) >= sizeof place.work_dir)
        refuse("the work dir must be an absolute path", "");
    open_standard_files();
    default_signals();
    snprintf(place.work_dir, sizeof place.work_dir, "%s", work_dir);
    place.is_init = getpid() == 1;
    place.has_proc = access("/proc/self/stat", R_OK) == 0;
    if (!place.has_proc)
        warn("there is no /proc: what a call leaves behind cannot be found to be killed");
    if (!place.is_init && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        warn("cannot take over orphans: %s", strerror(errno));
    if (getrandom(place.boot, sizeof place.boot, 0) != (ssize_t)sizeof place.boot)
        refuse("no random bytes", "");
    struct account account;
    umask(022);
    choose_user(user);
    find_account(place.uid, &account);
    choose_shell(shell);
    prepare_root();
    prepare_hosts();
    prepare_work_dir();
    snprintf(place.home, sizeof place.home, "%s", choose_home(&account));
    set_environment(&account);
    if (prctl(PR_SET_DUMPABLE, 0) < 0)
        warn("cannot become non-dumpable: %s", strerror(errno));
    drop_privileges();
    if (place.has_no_users && !forbid_users())
        warn("programs may make namespaces of users: %s", strerror(errno));
}
