//! Several gets at once.

use super::*;

/// Runs the handler of a batch.
fn answer_all(index: usize, answers: &[(u32, &[u8])]) {
    let (handler, data) = FAKE.with_borrow(|fake| (fake.batches[index].handler, fake.batches[index].data));
    let results = answers.iter().map(|&(status, value)| {
        // SAFETY: numbers and a string; all zeros are good.
        let mut result: sys::ngx_http_memcache_result_t = unsafe { mem::zeroed() };
        result.status = status;
        result.value = ngx_str_t { len: value.len(), data: value.as_ptr().cast_mut() };
        result
    });
    let results: Vec<_> = results.collect();
    let list: Vec<*const _> = results.iter().map(ptr::from_ref).collect();
    // SAFETY: the test holds the future that submitted the call.
    unsafe { handler.unwrap()(data, list.as_ptr(), list.len()) };
}

fn batch_sizes() -> Vec<usize> {
    FAKE.with_borrow(|fake| fake.batches.iter().map(|batch| batch.keys.len()).collect())
}

#[test]
fn several_gets_are_one_call_and_answered_in_order() {
    let mc = client();
    let mut gets = pin!(mc.get_multi(["a", "b", "c"]).timeout(Duration::from_millis(5)));
    assert!(poll(gets.as_mut()).is_pending());
    assert!(poll(gets.as_mut()).is_pending());
    FAKE.with_borrow(|fake| {
        assert_eq!((fake.batches.len(), fake.batches[0].timeout), (1, 5));
        assert_eq!(fake.batches[0].keys, [b"a", b"b", b"c"]);
    });

    let large = [b'L'; Value::SMALL + 1];
    answer_all(0, &[(OK, b"A"), (sys::NGX_HTTP_MEMCACHE_BUSY, b""), (OK, &large)]);
    let Poll::Ready(found) = poll(gets) else { panic!("no answer") };
    let values: Vec<_> = found.iter().map(|item| item.as_ref().map(|item| item.as_ref().unwrap().value())).collect();
    assert_eq!(values, [Ok(&b"A"[..]), Err(&Error::Busy), Ok(&large[..])]);
}

#[test]
fn more_gets_than_a_call_takes_are_several() {
    let mc = client();
    let keys: Vec<_> = (0..1025).map(|number| number.to_string()).collect();
    let mut gets = pin!(mc.get_multi(&keys));
    assert!(poll(gets.as_mut()).is_pending());
    assert_eq!(batch_sizes(), [1024, 1]);

    answer_all(1, &[(OK, b"last")]);
    assert!(poll(gets.as_mut()).is_pending());
    answer_all(0, &[(MISS, &b""[..]); 1024]);
    let Poll::Ready(found) = poll(gets) else { panic!("no answer") };
    assert_eq!(found.len(), 1025);
    assert_eq!(found[1024].as_ref().unwrap().as_ref().unwrap().value(), b"last");
}

#[test]
fn several_gets_that_are_refused_have_an_error_each() {
    let mc = client();
    FAKE.with_borrow_mut(|fake| fake.refuse = sys::NGX_HTTP_MEMCACHE_NO_MEMORY);
    let Poll::Ready(found) = poll(pin!(mc.get_multi(["a", "b"]))) else { panic!("no answer") };
    assert_eq!(found.into_iter().map(Result::unwrap_err).collect::<Vec<_>>(), [Error::NoMemory, Error::NoMemory]);
}

#[test]
fn dropping_several_gets_cancels_what_is_in_flight() {
    let mc = client();
    {
        let mut gets = pin!(mc.get_multi(["a", "b", "c"]));
        assert!(poll(gets.as_mut()).is_pending());
    }
    assert_eq!(cancelled(), [1]);
    assert!(matches!(poll(pin!(mc.get_multi::<&str>([]))), Poll::Ready(found) if found.is_empty()));
    assert_eq!(batch_sizes().len(), 1);
}
