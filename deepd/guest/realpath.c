/* REALPATH of what need not be there: the C library's gives up at the first part that is missing. */
#include "guest.h"

#include <stdio.h>
#include <unistd.h>

enum { MAX_LINKS = 40 }; /* as the kernel */

/* Put a link's target in front of what is left to walk; what was walked is the link's folder, or `/`. */
static bool enter_link(const char *target, char walked[PATH_MAX], char left[PATH_MAX])
{
    char whole[PATH_MAX];
    if ((size_t)snprintf(whole, sizeof whole, "%s/%s", target, left) >= sizeof whole) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(left, whole, strlen(whole) + 1);
    *(target[0] == '/' ? walked : strrchr(walked, '/')) = 0;
    return true;
}

/* Append a part and tell what it links to: 1 with the target, 0 for anything else or nothing, -1 with errno. */
static int walk_part(const char *part, char walked[PATH_MAX], char target[PATH_MAX])
{
    size_t size = strlen(walked);
    if (size + 1 + strlen(part) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    walked[size] = '/';
    memcpy(walked + size + 1, part, strlen(part) + 1);
    ssize_t length = readlink(walked, target, PATH_MAX - 1);
    if (length < 0) /* a folder that may not be searched could hide where it leads */
        return errno == EINVAL || errno == ENOENT || errno == ENOTDIR ? 0 : -1;
    target[length] = 0;
    return 1;
}

/* As realpath, but nothing needs to be there: what is missing is kept as written, and `..` climbs out of it. */
bool real_or_missing(const char *path, char walked[PATH_MAX])
{
    char left[PATH_MAX], target[PATH_MAX], part[PATH_MAX];
    walked[0] = 0;
    if (*path != '/' && !getcwd(walked, PATH_MAX))
        return false;
    if (strcmp(walked, "/") == 0)
        walked[0] = 0;
    if ((size_t)snprintf(left, sizeof left, "%s", path) >= sizeof left) {
        errno = ENAMETOOLONG;
        return false;
    }
    for (int links = 0; *left;) {
        size_t size = strcspn(left, "/"), more = size + strspn(left + size, "/");
        memcpy(part, left, size);
        part[size] = 0;
        memmove(left, left + more, strlen(left + more) + 1);
        if (size == 0 || strcmp(part, ".") == 0)
            continue;
        if (strcmp(part, "..") == 0) {
            char *slash = strrchr(walked, '/');
            if (slash)
                *slash = 0;
            continue;
        }
        int is_link = walk_part(part, walked, target);
        if (is_link && ++links > MAX_LINKS) {
            errno = ELOOP;
            return false;
        }
        if (is_link < 0 || (is_link && !enter_link(target, walked, left)))
            return false;
    }
    return true;
}
