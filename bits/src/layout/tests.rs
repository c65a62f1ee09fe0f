use nginx_sys::{ngx_buf_t, ngx_http_request_t};

use super::*;
use crate::request;

fn number(name: &str) -> usize {
    list::BITS.iter().position(|&(other, _)| other == name).unwrap()
}

#[test]
fn r23_bindings_agree_with_c() {
    check().unwrap();
}

#[test]
fn r23_a_bit_in_another_place_is_found() {
    let memory = number("ngx_buf_t.memory");
    assert!(same::<ngx_buf_t>(memory, |buffer| buffer.set_memory(!0)));
    assert!(!same::<ngx_buf_t>(memory, |buffer| buffer.set_mmap(!0)), "another bit");
    assert!(!same::<ngx_buf_t>(memory, |_| {}), "none");
    assert!(
        !same::<ngx_buf_t>(memory, |buffer| {
            buffer.set_memory(!0);
            buffer.set_mmap(!0);
        }),
        "one more"
    );
}

/// Bindings by bindgen 0.72 fail here with nginx 1.29.3 and later.
#[test]
fn r23_bits_of_the_request_are_where_c_has_them() {
    assert_eq!(request::ALL.len(), 66);
    for (index, (name, set, get)) in request::ALL.iter().enumerate() {
        assert!(same::<ngx_http_request_t>(list::BITS.len() + index, *set), "{name} is written elsewhere");

        let mut r = MaybeUninit::<ngx_http_request_t>::zeroed();
        // SAFETY: nginx makes a request by zeroing it.
        let r = unsafe { r.assume_init_mut() };
        assert_eq!(get(r), 0, "{name}");
        set(r);
        let set_bits = bytes_of(r).iter().map(|byte| byte.count_ones()).sum::<u32>();
        assert_eq!(get(r).count_ones(), set_bits, "{name} is read elsewhere");
    }
}

fn bytes_of(r: &ngx_http_request_t) -> &[u8] {
    // SAFETY: it was zeroed as a whole.
    unsafe { slice::from_raw_parts(std::ptr::from_ref(r).cast(), size_of::<ngx_http_request_t>()) }
}

#[test]
fn what_is_wrong_has_its_name() {
    let text = Wrong("ngx_buf_t.memory").to_string();
    assert!(text.contains("(nginx-sys)") && text.contains("have ngx_buf_t.memory in another place"), "{text}");
}
