//! Variables of a request.

#![allow(unsafe_code)]

use nginx_sys::{
    ngx_http_add_variable, ngx_http_request_t, ngx_http_variable_value_t, ngx_int_t, ngx_pnalloc, ngx_str_t, NGX_ERROR,
    NGX_HTTP_VAR_NOCACHEABLE, NGX_OK,
};

use super::conf::Conf;
use super::guard::guard;
use super::request::Request;

/// A group of variables.
pub trait Variables {
    /// Their names, in lower case.
    const NAMES: &'static [&'static str];

    /// The value of one of them in a request; `None`: it has none.
    fn value(request: Request<'_>, index: usize) -> Option<String>;
}

/// Registers them, before the http block is read. `None`: there is no memory, or another module has one of the names;
/// nginx has logged it.
pub fn add<V: Variables>(conf: &mut Conf<'_>) -> Option<()> {
    for (index, name) in V::NAMES.iter().enumerate() {
        let mut name = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
        // SAFETY: nginx copies the name. It would write to it only to lower its case, and it is.
        let variable =
            unsafe { ngx_http_add_variable(conf.as_ptr(), &raw mut name, NGX_HTTP_VAR_NOCACHEABLE as usize) };
        // SAFETY: nginx has made the variable, in the pool of the configuration.
        let variable = unsafe { variable.as_mut() }?;
        variable.get_handler = Some(get::<V>);
        variable.data = index;
    }
    Some(())
}

unsafe extern "C" fn get<V: Variables>(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    index: usize,
) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx asks for a variable of a request that is there, with a place for the value.
        unsafe {
            let value = &mut *value;
            let Some(text) = Request::new(r).and_then(|request| V::value(request, index)) else {
                value.set_not_found(1);
                return NGX_OK as ngx_int_t;
            };
            let data = ngx_pnalloc((*r).pool, text.len()).cast::<u8>();
            if data.is_null() {
                return NGX_ERROR as ngx_int_t;
            }
            data.copy_from_nonoverlapping(text.as_ptr(), text.len());
            value.set_len(text.len() as _);
            value.set_valid(1);
            value.set_no_cacheable(0);
            value.set_not_found(0);
            value.data = data;
            NGX_OK as ngx_int_t
        }
    })
}
