/*
 * Makes allocations of nginx fail, for t/memory.t: preloaded, and told by a file ($MEMORY_FILE) that the test writes.
 *
 * Only the allocations that one shared object makes itself are counted, which is what "ngx_http_memcache" or "nginx" in
 * the path of the object says.
 */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>


typedef struct {
    uint64_t  armed;      /* allocations are counted */
    uint64_t  first;      /* the number of the first one that fails, from 1; 0: none */
    uint64_t  count;      /* so many fail from there on */
    uint64_t  least;      /* smaller ones are not counted, in bytes */
    uint64_t  counted;    /* how many there were */
    uint64_t  failed;     /* how many of them failed */
    char      object[64]; /* a part of the path of the object that asks */
} control_t;


void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);


static control_t  *control;


__attribute__((constructor)) static void
open_control(void)
{
    int          fd;
    void        *p;
    const char  *name;

    name = getenv("MEMORY_FILE");
    fd = name ? open(name, O_RDWR) : -1;

    if (fd == -1) {
        return;
    }

    p = mmap(NULL, sizeof(control_t), PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);

    if (p != MAP_FAILED) {
        control = p;
    }
}


static int
fails(size_t size, void *caller)
{
    Dl_info      info;
    uint64_t     n;
    const char  *name;

    if (control == NULL || !control->armed || size < control->least) {
        return 0;
    }

    if (dladdr(caller, &info) == 0 || info.dli_fname == NULL) {
        return 0;
    }

    name = strrchr(info.dli_fname, '/');

    if (strstr(name ? name : info.dli_fname, control->object) == NULL) {
        return 0;
    }

    n = __atomic_add_fetch(&control->counted, 1, __ATOMIC_RELAXED);

    if (control->first == 0 || n < control->first || n - control->first >= control->count) {
        return 0;
    }

    __atomic_add_fetch(&control->failed, 1, __ATOMIC_RELAXED);
    errno = ENOMEM;

    return 1;
}


void *
malloc(size_t size)
{
    return fails(size, __builtin_return_address(0)) ? NULL : __libc_malloc(size);
}


void *
calloc(size_t n, size_t size)
{
    return fails(n * size, __builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}


void *
realloc(void *p, size_t size)
{
    return fails(size, __builtin_return_address(0)) ? NULL : __libc_realloc(p, size);
}


int
posix_memalign(void **p, size_t align, size_t size)
{
    if (fails(size, __builtin_return_address(0))) {
        return ENOMEM;
    }

    *p = __libc_memalign(align, size);

    return *p ? 0 : ENOMEM;
}


void *
aligned_alloc(size_t align, size_t size)
{
    return fails(size, __builtin_return_address(0)) ? NULL : __libc_memalign(align, size);
}
