//! Socket addresses, as nginx reads them in a configuration.

#![allow(unsafe_code)]

use core::ffi::CStr;
use core::slice;
use std::rc::Rc;

use bytes::Bytes;
use nginx_sys::{ngx_addr_t, ngx_parse_url, ngx_str_t, ngx_url_t, NGX_OK};

use super::conf::Conf;
use super::global::Zeroed;

/// A socket address. It lies in the pool of the configuration, and is there as long as that.
pub struct Address(ngx_addr_t);

impl Address {
    /// nginx's own.
    pub fn get(&self) -> &ngx_addr_t {
        &self.0
    }

    /// The bytes that identify it; its family comes first.
    fn bytes(&self) -> &[u8] {
        // SAFETY: nginx made the address, `socklen` bytes long and zeroed where nothing was written.
        unsafe { slice::from_raw_parts(self.0.sockaddr.cast(), self.0.socklen as usize) }
    }
}

/// The socket addresses of a server's name, at least one. Their order depends on the addresses alone. Clones must live in
/// the same pool.
#[derive(Clone)]
pub struct Addresses {
    list: Rc<[Address]>,
    /// `127.0.0.1:11211`
    texts: Rc<[Bytes]>,
}

/// Why there is no address.
pub enum Unresolved {
    /// nginx has logged it.
    NoMemory,
    /// nginx's error text.
    Invalid(String),
    /// The name has no address.
    NotFound,
}

impl Addresses {
    /// The addresses of an argument of the line that is being read, and whether it has no port.
    pub fn resolve(conf: &Conf<'_>, text: ngx_str_t, default_port: u16) -> Result<(Addresses, bool), Unresolved> {
        let mut url = ngx_url_t::zeroed();
        url.url = text;
        url.default_port = default_port;

        // SAFETY: the pool of the configuration, which lives as long as it, as the line's arguments do.
        if unsafe { ngx_parse_url((*conf.as_ptr()).pool, &raw mut url) } != NGX_OK as isize {
            if url.err.is_null() {
                return Err(Unresolved::NoMemory);
            }
            // SAFETY: nginx points `err` to a string literal.
            let err = unsafe { CStr::from_ptr(url.err) };
            return Err(Unresolved::Invalid(err.to_string_lossy().into_owned()));
        }
        if url.addrs.is_null() || url.naddrs == 0 {
            return Err(Unresolved::NotFound);
        }
        // SAFETY: `naddrs` addresses in the pool of the configuration.
        let addresses = unsafe { slice::from_raw_parts(url.addrs, url.naddrs) };
        let mut list: Vec<Address> = addresses.iter().copied().map(Address).collect();
        list.sort_by(|a, b| a.bytes().cmp(b.bytes()));
        list.dedup_by(|a, b| a.bytes() == b.bytes());
        let texts: Vec<_> = list.iter().map(|address| Bytes::copy_from_slice(address.0.name.as_bytes())).collect();
        Ok((Addresses { list: list.into(), texts: texts.into() }, url.no_port() != 0))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// One of them.
    pub fn get(&self, index: usize) -> Option<&Address> {
        self.list.get(index)
    }

    /// The text of one of them.
    pub fn text(&self, index: usize) -> Bytes {
        self.texts.get(index).cloned().unwrap_or_default()
    }

    /// Each of them alone, by its text, in the order of the texts.
    pub fn each(&self) -> Vec<(Bytes, Addresses)> {
        let alone = |(address, text): (&Address, &Bytes)| {
            let (list, texts) = (Rc::new([Address(address.0)]), Rc::new([text.clone()]));
            (text.clone(), Addresses { list, texts })
        };
        let mut each: Vec<_> = self.list.iter().zip(&*self.texts).map(alone).collect();
        each.sort_by(|(a, _), (b, _)| a.cmp(b));
        each
    }

    /// The number of addresses of the most frequent family. A name of a host with IPv4 and IPv6 has one.
    pub fn of_one_family(&self) -> usize {
        let of = |address: &[u8]| self.bytes().filter(|other| other.get(..2) == address.get(..2)).count();
        self.bytes().map(of).max().unwrap_or(0)
    }

    /// The bytes that identify each address.
    pub fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.list.iter().map(Address::bytes)
    }

    /// The bytes that identify this list.
    pub fn key(&self) -> Vec<u8> {
        self.bytes().flat_map(|bytes| [&bytes.len().to_le_bytes()[..], bytes].concat()).collect()
    }
}
