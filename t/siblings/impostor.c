/*
 * A module that has the name of ours and is another: for t/version.t. Behind its context there is no memory, so that
 * whoever takes it for ours, and looks there for more, does not get far.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sys/mman.h>


ngx_module_t  ngx_http_impostor_module = {
    NGX_MODULE_V1, NULL, NULL, NGX_HTTP_MODULE, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NGX_MODULE_V1_PADDING
};

ngx_module_t  *ngx_modules[] = { &ngx_http_impostor_module, NULL };
char          *ngx_module_names[] = { "ngx_http_memcache_module", NULL };
char          *ngx_module_order[] = { NULL };


/* Before nginx looks for the module. */
static void __attribute__((constructor))
place_context(void)
{
    u_char  *page;
    size_t   size;

    size = sysconf(_SC_PAGESIZE);
    page = mmap(NULL, 2 * size, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED || mprotect(page + size, size, PROT_NONE) == -1) {
        abort();
    }

    ngx_http_impostor_module.ctx = page + size - sizeof(ngx_http_module_t);
}
