/* What the files of this sibling have in common. */

#include "../action.h"


ngx_uint_t clients_list(ngx_str_t *text, ngx_str_t *items, ngx_uint_t n);
ngx_int_t clients_choose(sibling_t *s, ngx_http_memcache_client_t **client);

ngx_int_t clients_do_subset(sibling_t *s);
ngx_int_t clients_do_all(sibling_t *s);
ngx_int_t clients_do_many(sibling_t *s);
ngx_int_t clients_do_cancel(sibling_t *s);
ngx_int_t clients_do_numbered(sibling_t *s);
