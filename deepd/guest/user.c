/* Users: what the guest may do, how a worker becomes the sandbox's user, who an id is. */
#include "guest.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_PASSWD = 1 << 20, LAST_CAPABILITY = 63 };

static void read_capabilities(struct __user_cap_data_struct data[2])
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    memset(data, 0, 2 * sizeof *data);
    if (syscall(SYS_capget, &header, data) < 0)
        memset(data, 0, 2 * sizeof *data);
}

static int keep_capabilities(uint32_t kept)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    read_capabilities(data);
    data[0].effective &= kept;
    data[0].permitted &= kept;
    data[0].inheritable = data[1].effective = data[1].permitted = data[1].inheritable = 0;
    return (int)syscall(SYS_capset, &header, data);
}

bool has_capability(int number)
{
    struct __user_cap_data_struct data[2];
    read_capabilities(data);
    return data[0].effective >> number & 1;
}

const char *become_user(void)
{
    umask(022);
    if (place.switches) {
        if (setgroups(0, NULL) < 0)
            return "cannot leave its groups";
        if (setresgid(place.gid, place.gid, place.gid) < 0)
            return "cannot take its group";
        if (setresuid(place.uid, place.uid, place.uid) < 0)
            return "cannot take its user";
    }
    if (keep_capabilities(0) < 0)
        return "cannot drop capabilities";
    return prctl(PR_SET_DUMPABLE, 0) < 0 ? "cannot become non-dumpable" : NULL;
}

/* What calls can never gain, for the guest and all that it starts. */
void drop_privileges(void)
{
    for (int number = 0; number <= LAST_CAPABILITY; number++)
        if (prctl(PR_CAPBSET_DROP, number) < 0)
            break; /* not allowed, or there are no more: no-new-privileges holds anyway */
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* kernels before 4.3 have none */
    if (keep_capabilities(1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_KILL) < 0)
        warn("cannot drop capabilities: %s", strerror(errno));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        warn("cannot set no-new-privileges: %s", strerror(errno));
}

void drop_all(void)
{
    if (keep_capabilities(0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        exit(1);
}

/* ---- /etc/passwd, by hand: a static program must not load NSS modules */

static bool parse_account(char *line, uid_t uid, struct account *account)
{
    char *fields[7];
    int n = 0;
    for (char *at = line; n < 7 && at; n++)
        fields[n] = strsep(&at, ":");
    char *end;
    if (n < 6 || !*fields[2] || strtoul(fields[2], &end, 10) != uid || *end)
        return false;
    snprintf(account->name, sizeof account->name, "%s", fields[0]);
    snprintf(account->home, sizeof account->home, "%s", fields[5]);
    return true;
}

void find_account(uid_t uid, struct account *account)
{
    *account = (struct account){"", ""};
    int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    char line[8192];
    long read = 0;
    while (file && read < MAX_PASSWD && fgets(line, sizeof line, file)) {
        read += (long)strlen(line);
        line[strcspn(line, "\n")] = 0;
        if (parse_account(line, uid, account))
            break;
    }
    if (file)
        fclose(file);
    else if (fd >= 0)
        close(fd);
}
