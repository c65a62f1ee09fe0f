//! Values of items.

use super::*;

#[test]
fn an_item_keeps_its_value_until_it_is_dropped() {
    let large = [b'L'; Value::SMALL + 1];
    for (value, retained) in [(&b"moo"[..], 0), (&large[1..], 0), (&large[..], 1)] {
        let item = finish(client().get("cow"), OK, value).unwrap().unwrap();
        assert_eq!((item.value(), item.flags(), item.cas()), (value, 7, 17));
        assert_eq!(item.decode::<String>().unwrap().as_bytes(), value);
        assert!(item.decode::<u64>().is_err());
        assert_eq!(values(), retained);
        drop(item);
        assert_eq!(values(), 0);
        assert_eq!(cancelled(), []);
    }
}
