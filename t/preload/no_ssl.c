/*
 * Hides nginx's functions for TLS from those who look for them by name, as if
 * nginx had been built without.
 */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <string.h>


void *
dlsym(void *handle, const char *name)
{
    static void *(*next)(void *, const char *);

    if (next == NULL) {
        next = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
    }

    if (strncmp(name, "ngx_ssl_", 8) == 0) {
        return NULL;
    }

    return next(handle, name);
}
