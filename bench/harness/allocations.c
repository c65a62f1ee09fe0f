/*
 * In front of malloc: counts calls, and bytes in use, of all and of two objects by the address of who calls. LD_PRELOAD
 * it; $ALLOCATIONS_FILE is where it counts, and $ALLOCATIONS_OBJECTS names the objects, parted by a colon.
 *
 * Bytes are taken off whoever frees them, so they say something only of objects that free what they allocate.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

#define OBJECTS 2
/* nginx loads its modules early, but not first: looked for at the first calls, and every so often until found. */
#define LOOK_EVERY 256

typedef struct { uint64_t calls; int64_t bytes; } count_t;

static count_t nowhere[OBJECTS + 1], *counts = nowhere;
static struct { char name[128]; uintptr_t from, to; } objects[OBJECTS];
static unsigned seen;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("ALLOCATIONS_FILE"), *names = getenv("ALLOCATIONS_OBJECTS");
    int fd = path ? open(path, O_RDWR) : -1;
    if (fd < 0) {
        return;
    }
    void *place = mmap(NULL, sizeof(nowhere), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    for (int i = 0; names && i < OBJECTS; i++) {
        const char *end = strchrnul(names, ':');
        memcpy(objects[i].name, names, (size_t) (end - names) < 127 ? (size_t) (end - names) : 127);
        names = *end ? end + 1 : NULL;
    }
    if (place != MAP_FAILED) {
        counts = place;
    }
}

static int find(struct dl_phdr_info *info, size_t size, void *data) {
    for (int i = 0; i < OBJECTS; i++) {
        if (!objects[i].name[0] || !strstr(info->dlpi_name, objects[i].name)) {
            continue;
        }
        for (int j = 0; j < info->dlpi_phnum; j++) {
            const ElfW(Phdr) *segment = &info->dlpi_phdr[j];
            if (segment->p_type == PT_LOAD && segment->p_flags & PF_X) {
                objects[i].from = info->dlpi_addr + segment->p_vaddr;
                objects[i].to = objects[i].from + segment->p_memsz;
            }
        }
    }
    return 0;
}

static void add(void *caller, int calls, int64_t bytes) {
    counts[0].calls += calls;
    counts[0].bytes += bytes;
    if (!objects[0].to && seen++ % LOOK_EVERY == 0) {
        dl_iterate_phdr(find, NULL);
    }
    for (int i = 0; i < OBJECTS; i++) {
        if ((uintptr_t) caller >= objects[i].from && (uintptr_t) caller < objects[i].to) {
            counts[i + 1].calls += calls;
            counts[i + 1].bytes += bytes;
        }
    }
}

#define CALLER __builtin_return_address(0)

static void *allocated(void *caller, void *place) {
    add(caller, 1, place ? (int64_t) malloc_usable_size(place) : 0);
    return place;
}

void *malloc(size_t size) {
    return allocated(CALLER, __libc_malloc(size));
}

void *calloc(size_t n, size_t size) {
    return allocated(CALLER, __libc_calloc(n, size));
}

void *memalign(size_t alignment, size_t size) {
    return allocated(CALLER, __libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size) {
    return allocated(CALLER, __libc_memalign(alignment, size));
}

int posix_memalign(void **place, size_t alignment, size_t size) {
    *place = allocated(CALLER, __libc_memalign(alignment, size));
    return *place ? 0 : ENOMEM;
}

void *realloc(void *place, size_t size) {
    int64_t before = place ? (int64_t) malloc_usable_size(place) : 0;
    void *after = __libc_realloc(place, size);
    add(CALLER, 1, (after ? (int64_t) malloc_usable_size(after) : 0) - before);
    return after;
}

void free(void *place) {
    if (place) {
        add(CALLER, 0, -(int64_t) malloc_usable_size(place));
        __libc_free(place);
    }
}
