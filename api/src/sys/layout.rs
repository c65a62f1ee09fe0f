//! What siblings that are already compiled rely on. A line here is added to and never changed.

use std::mem::{offset_of, size_of};

use super::*;

/// The fields of a structure, by the version of the interface that added them, each with its place; and the size that
/// the structure had in that version, before which no later field may be: not even in padding, which nobody has zeroed.
macro_rules! layout {
    ($type:ty { $(size $size:literal: $($field:ident $offset:literal)*;)* }) => {{
        let name = stringify!($type);
        let mut before = 0;
        $(
            $(
                assert_eq!(offset_of!($type, $field), $offset, "{name}.{}", stringify!($field));
                assert!((before..$size).contains(&$offset), "{name}.{} is in another version", stringify!($field));
            )*
            before = $size;
        )*
        assert_eq!(size_of::<$type>(), before, "{name}: a new field is a new version");
    }};
}

#[test]
#[cfg(target_pointer_width = "64")]
fn fields_stay_where_they_are() {
    layout!(ngx_http_memcache_op_t {
        size 120: size 0 op 8 options 12 key 16 value 32 cas 48 delta 56 initial 64 flags 72 ttl 76 timeout 80 server 88
            handler 96 data 104 request 112;
        size 128: recache 120 reserved 124;
    });
    layout!(ngx_http_memcache_result_t {
        size 56: size 0 status 8 maybe_applied 12 cas 16 number 24 flags 32 value 40;
        size 88: lease 56 stale 60 length 64 ttl 72 idle 76 fetched 80 leased 84;
        size 96: stand_in 88 reserved 92;
    });
    layout!(ngx_http_memcache_server_t {
        size 64: size 0 address 8 state 24 weight 28 min 32 smax 36 max 40 ttl 44 open 48 idle 52 pending 56 queued 60;
    });
    layout!(ngx_http_memcache_many_t {
        size 72: size 0 op 8 ttl 12 keys 16 nkeys 24 timeout 32 handler 40 data 48 request 56 options 64 reserved 68;
    });
    layout!(ngx_http_memcache_value_t {
        size 48: bytes 0 owner 16;
    });
    layout!(ngx_http_memcache_api_t {
        size 72: size 0 client_of_request 8 submit 16 cancel 24 retain 32 release 40 servers 48 server 56 max_value 64;
        size 80: set_enabled 72;
        size 144: client_of_conf 80 subset 88 submit_many 96 server_of_key 104 require 112
            check_request 120 client_of_name 128 require_name 136;
        size 152: client_of_module 144;
    });
    layout!(ngx_http_memcache_module_ctx_t {
        size 88: http 0 magic 64 major 72 minor 76 api 80;
    });
}

#[test]
fn numbers_stay_what_they_are() {
    assert_eq!((NGX_HTTP_MEMCACHE_ABI_MAJOR, NGX_HTTP_MEMCACHE_ABI_MINOR), (1, 3));
    assert_eq!(NGX_HTTP_MEMCACHE_MAGIC.to_le_bytes(), *b"ngxmemc1");
    assert_eq!(NGX_HTTP_MEMCACHE_MODULE_NAME, b"ngx_http_memcache_module\0");

    // Statuses.
    assert_eq!(NGX_HTTP_MEMCACHE_OK, 0);
    assert_eq!(NGX_HTTP_MEMCACHE_MISS, 1);
    assert_eq!(NGX_HTTP_MEMCACHE_NOT_STORED, 2);
    assert_eq!(NGX_HTTP_MEMCACHE_EXISTS, 3);
    assert_eq!(NGX_HTTP_MEMCACHE_NOT_SENT, 16);
    assert_eq!(NGX_HTTP_MEMCACHE_UNKNOWN, 17);
    assert_eq!(NGX_HTTP_MEMCACHE_TIMEOUT, 18);
    assert_eq!(NGX_HTTP_MEMCACHE_BUSY, 19);
    assert_eq!(NGX_HTTP_MEMCACHE_SERVER_DOWN, 20);
    assert_eq!(NGX_HTTP_MEMCACHE_SERVER, 21);
    assert_eq!(NGX_HTTP_MEMCACHE_CLIENT, 22);
    assert_eq!(NGX_HTTP_MEMCACHE_PROTOCOL, 23);
    assert_eq!(NGX_HTTP_MEMCACHE_SHUTDOWN, 24);
    assert_eq!(NGX_HTTP_MEMCACHE_INVALID_KEY, 25);
    assert_eq!(NGX_HTTP_MEMCACHE_TOO_LARGE, 26);
    assert_eq!(NGX_HTTP_MEMCACHE_CANCELLED, 27);
    assert_eq!(NGX_HTTP_MEMCACHE_UNSUPPORTED, 28);
    assert_eq!(NGX_HTTP_MEMCACHE_NOT_AVAILABLE, 32);
    assert_eq!(NGX_HTTP_MEMCACHE_NOT_CONFIGURED, 33);
    assert_eq!(NGX_HTTP_MEMCACHE_WRONG_THREAD, 34);
    assert_eq!(NGX_HTTP_MEMCACHE_STALE, 35);
    assert_eq!(NGX_HTTP_MEMCACHE_INVALID, 36);
    assert_eq!(NGX_HTTP_MEMCACHE_NO_MEMORY, 37);
    assert_eq!(NGX_HTTP_MEMCACHE_INTERNAL, 38);
    assert_eq!(NGX_HTTP_MEMCACHE_TOO_MANY, 39);
    assert_eq!(NGX_HTTP_MEMCACHE_NOT_LOADED, 48);
    assert_eq!(NGX_HTTP_MEMCACHE_TOO_OLD, 49);
    assert_eq!(NGX_HTTP_MEMCACHE_TOO_NEW, 50);

    // Operations.
    assert_eq!(NGX_HTTP_MEMCACHE_GET, 1);
    assert_eq!(NGX_HTTP_MEMCACHE_GAT, 2);
    assert_eq!(NGX_HTTP_MEMCACHE_SET, 3);
    assert_eq!(NGX_HTTP_MEMCACHE_ADD, 4);
    assert_eq!(NGX_HTTP_MEMCACHE_REPLACE, 5);
    assert_eq!(NGX_HTTP_MEMCACHE_APPEND, 6);
    assert_eq!(NGX_HTTP_MEMCACHE_PREPEND, 7);
    assert_eq!(NGX_HTTP_MEMCACHE_DELETE, 8);
    assert_eq!(NGX_HTTP_MEMCACHE_INCR, 9);
    assert_eq!(NGX_HTTP_MEMCACHE_DECR, 10);
    assert_eq!(NGX_HTTP_MEMCACHE_TOUCH, 11);
    assert_eq!(NGX_HTTP_MEMCACHE_VERSION, 12);
    assert_eq!(NGX_HTTP_MEMCACHE_LEASE, 13);
    assert_eq!(NGX_HTTP_MEMCACHE_INVALIDATE, 14);
    assert_eq!(NGX_HTTP_MEMCACHE_INSPECT, 15);
    assert_eq!(NGX_HTTP_MEMCACHE_NOOP, 16);
    assert_eq!(NGX_HTTP_MEMCACHE_STATS, 17);
    assert_eq!(NGX_HTTP_MEMCACHE_FLUSH_ALL, 18);

    assert_eq!(NGX_HTTP_MEMCACHE_INITIAL, 1);
    assert_eq!(NGX_HTTP_MEMCACHE_WAIT, 2);
    assert_eq!(NGX_HTTP_MEMCACHE_LEASE_NONE, 0);
    assert_eq!(NGX_HTTP_MEMCACHE_LEASE_WON, 1);
    assert_eq!(NGX_HTTP_MEMCACHE_LEASE_LOST, 2);
    assert_eq!(NGX_HTTP_MEMCACHE_NEVER, u32::MAX);
    assert_eq!(NGX_HTTP_MEMCACHE_MAX_KEYS, 1024);
    assert_eq!(NGX_HTTP_MEMCACHE_MAX_SUBSETS, 32);
    assert_eq!(NGX_HTTP_MEMCACHE_MAX_MODULES, 31);
    assert_eq!(NGX_HTTP_MEMCACHE_STATE_LIVE, 0);
    assert_eq!(NGX_HTTP_MEMCACHE_STATE_DOWN, 1);
    assert_eq!(NGX_HTTP_MEMCACHE_STATE_DISABLED, 2);
}
