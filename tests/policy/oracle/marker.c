/* A program under many names: it tells the oracle that it was run, and how.
 *
 * One record in /log/<uid>: the path that was executed and every argument, each ended by NUL, and a
 * record separator at the end. Where /real/<name> exists that is run in its place afterwards, so
 * that what `env`, `xargs` or `sh` run in their turn is told too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define RECORD_MAX 65536
#define PATH_MAX_HERE 512

static size_t append(char *record, size_t at, const char *text) {
    size_t size = strlen(text) + 1;
    if (at + size + 1 > RECORD_MAX) {
        return at;
    }
    memcpy(record + at, text, size);
    return at + size;
}

static void tell(int argc, char **argv, const char *executed) {
    static char record[RECORD_MAX];
    char path[64];
    size_t at = append(record, 0, executed);
    for (int i = 0; i < argc; i++) {
        at = append(record, at, argv[i]);
    }
    record[at++] = '\036';
    snprintf(path, sizeof path, "/log/%u", (unsigned)getuid());
    int log = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (log >= 0) {
        ssize_t written = write(log, record, at);
        (void)written;
        close(log);
    }
}

int main(int argc, char **argv) {
    const char *executed = (const char *)getauxval(AT_EXECFN);
    char real[PATH_MAX_HERE];
    tell(argc, argv, executed);
    const char *name = strrchr(executed, '/');
    snprintf(real, sizeof real, "/real/%s", name ? name + 1 : executed);
    if (access(real, X_OK) == 0) {
        execv(real, argv);
        return 126;
    }
    return 0;
}
