use std::mem::MaybeUninit;

use super::*;

fn zeroed() -> Box<ngx_http_request_t> {
    // SAFETY: nginx makes a request by zeroing it.
    unsafe { Box::new(MaybeUninit::zeroed().assume_init()) }
}

#[test]
fn flags_and_numbers() {
    let mut r = zeroed();
    assert!(!header_only(&r));
    set_header_only(&mut r, true);
    assert!(header_only(&r) && !pipeline(&r) && !keepalive(&r));
    set_header_only(&mut r, false);
    assert!(!header_only(&r));

    set_count(&mut r, 0xfffe);
    assert_eq!((count(&r), subrequests(&r), blocked(&r)), (0xfffe, 0, 0));
}
