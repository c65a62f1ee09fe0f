/*
 * Counts the SSLs that a process and its children make and free, for
 * t/ssl_memory.t: preloaded, with a file ($SSL_FILE) that holds both counters.
 */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>


typedef struct {
    uint64_t  made;
    uint64_t  freed;
} counters_t;


static counters_t  *counters;


__attribute__((constructor)) static void
open_counters(void)
{
    int          fd;
    void        *p;
    const char  *name;

    name = getenv("SSL_FILE");
    fd = name ? open(name, O_RDWR) : -1;

    if (fd == -1) {
        return;
    }

    p = mmap(NULL, sizeof(counters_t), PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);

    if (p != MAP_FAILED) {
        counters = p;
    }
}


void *
SSL_new(void *ctx)
{
    static void *(*next)(void *);
    void         *ssl;

    if (next == NULL) {
        next = (void *(*)(void *)) dlsym(RTLD_NEXT, "SSL_new");
    }

    ssl = next(ctx);

    if (ssl && counters) {
        __atomic_add_fetch(&counters->made, 1, __ATOMIC_RELAXED);
    }

    return ssl;
}


void
SSL_free(void *ssl)
{
    static void  (*next)(void *);

    if (next == NULL) {
        next = (void (*)(void *)) dlsym(RTLD_NEXT, "SSL_free");
    }

    if (ssl && counters) {
        __atomic_add_fetch(&counters->freed, 1, __ATOMIC_RELAXED);
    }

    next(ssl);
}
