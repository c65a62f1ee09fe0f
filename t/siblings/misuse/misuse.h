/* What the files of this sibling have in common. */

#include "../action.h"


#define MISUSE_BYTES  (2 * 1024 * 1024)

/* handlers that ran for nobody's request */
extern ngx_uint_t                    misuse_ran;
extern u_char                        misuse_bytes[MISUSE_BYTES];
/* the client of the last request */
extern ngx_http_memcache_client_t   *misuse_known;


void misuse_op(ngx_http_memcache_op_t *op, uint32_t what, const char *key, ngx_http_memcache_handler_pt handler,
    void *data);
void misuse_count(void *data, const ngx_http_memcache_result_t *result);
void misuse_said(void *data, const ngx_http_memcache_result_t *result);
u_char *misuse_call_all(u_char *p, u_char *last, const ngx_http_memcache_api_t *mc,
    ngx_http_memcache_client_t *client, ngx_http_request_t *r, ngx_http_conf_ctx_t *ctx);

ngx_int_t misuse_a6(sibling_t *s);
ngx_int_t misuse_show_ran(sibling_t *s);
ngx_int_t misuse_a7(sibling_t *s);
ngx_int_t misuse_a8(sibling_t *s);
ngx_int_t misuse_a9(sibling_t *s);
ngx_int_t misuse_a10(sibling_t *s);
ngx_int_t misuse_a11(sibling_t *s);
ngx_int_t misuse_a12(sibling_t *s);
ngx_int_t misuse_a13(sibling_t *s);
ngx_int_t misuse_a16(sibling_t *s);
ngx_int_t misuse_a16_later(sibling_t *s);
ngx_int_t misuse_a17(sibling_t *s);
ngx_int_t misuse_a22(sibling_t *s);
ngx_int_t misuse_a23(sibling_t *s);
ngx_int_t misuse_other(sibling_t *s);
