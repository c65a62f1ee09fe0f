//! Socket addresses, as nginx reads them in a configuration and resolves them later.

#![allow(unsafe_code)]

use core::ffi::CStr;
use core::net::SocketAddr;
use core::{ptr, slice};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use bytes::Bytes;
use nginx_sys::{
    ngx_addr_t, ngx_inet_set_port, ngx_parse_url, ngx_resolver_addr_t, ngx_sock_ntop, ngx_str_t, ngx_url_t, sockaddr,
    socklen_t, NGX_OK,
};

use super::conf::Conf;
use super::global::Zeroed;

/// Bytes of the largest address.
const LARGEST: usize = 128;
/// nginx's `NGX_SOCKADDR_STRLEN` is not more than this.
const LONGEST_TEXT: usize = 128;

/// The memory of an address, aligned as the system's `sockaddr_storage`.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Memory([u8; LARGEST]);

/// A socket address.
#[derive(Clone)]
pub struct Address {
    memory: Memory,
    len: usize,
    /// `127.0.0.1:11211`
    text: Bytes,
}

impl Address {
    /// A copy of one that the configuration has.
    ///
    /// # Safety
    ///
    /// nginx has made the address, `socklen` bytes long and zeroed where nothing was written.
    unsafe fn of_conf(address: &ngx_addr_t) -> Option<Address> {
        // SAFETY: by the contract.
        let bytes = unsafe { slice::from_raw_parts(address.sockaddr.cast::<u8>(), address.socklen as usize) };
        Address::of_bytes(bytes, Bytes::copy_from_slice(address.name.as_bytes()))
    }

    /// A copy of one that nginx has resolved, with this port.
    ///
    /// # Safety
    ///
    /// As for `of_conf`.
    pub unsafe fn of_resolver(address: &ngx_resolver_addr_t, port: u16) -> Option<Address> {
        // SAFETY: by the contract.
        let bytes = unsafe { slice::from_raw_parts(address.sockaddr.cast::<u8>(), address.socklen as usize) };
        let mut own = Address::of_bytes(bytes, Bytes::new())?;
        let mut text = [0u8; LONGEST_TEXT];
        let (place, socklen) = (own.memory.0.as_mut_ptr().cast::<sockaddr>(), own.socklen());
        // SAFETY: an address of our own, of a family that nginx's resolver knows, and memory for its text.
        let len = unsafe {
            ngx_inet_set_port(place, port);
            ngx_sock_ntop(place, socklen, text.as_mut_ptr(), text.len(), 1)
        };
        own.text = Bytes::copy_from_slice(text.get(..len)?);
        Some(own)
    }

    fn of_bytes(bytes: &[u8], text: Bytes) -> Option<Address> {
        let mut memory = Memory([0; LARGEST]);
        memory.0.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Address { memory, len: bytes.len(), text })
    }

    /// The address for a connect, which does not change it.
    pub fn sockaddr(&self) -> *mut sockaddr {
        self.memory.0.as_ptr().cast_mut().cast()
    }

    /// Its length.
    pub fn socklen(&self) -> socklen_t {
        socklen_t::try_from(self.len).unwrap_or(0)
    }

    /// The bytes that identify it; its family comes first.
    fn bytes(&self) -> &[u8] {
        self.memory.0.get(..self.len).unwrap_or_default()
    }
}

/// The socket addresses of a server's name; none, if they are not known. Their order depends on the addresses alone.
#[derive(Clone)]
pub struct Addresses(Rc<[Address]>);

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
        let url = parse(conf, text, default_port, true)?;
        if url.addrs.is_null() || url.naddrs == 0 {
            return Err(Unresolved::NotFound);
        }
        // SAFETY: `naddrs` addresses in the pool of the configuration.
        let addresses = unsafe { slice::from_raw_parts(url.addrs, url.naddrs) };
        // SAFETY: nginx has made them.
        let list = addresses.iter().filter_map(|address| unsafe { Address::of_conf(address) });
        Ok((Addresses::of(list.collect()), url.no_port() != 0))
    }

    /// These, in their order.
    pub fn of(mut list: Vec<Address>) -> Addresses {
        list.sort_by(|a, b| a.bytes().cmp(b.bytes()));
        list.dedup_by(|a, b| a.bytes() == b.bytes());
        Addresses(list.into())
    }

    /// The first ones of them.
    pub fn first(self, count: usize) -> Addresses {
        if self.len() <= count {
            return self;
        }
        Addresses(self.0.iter().take(count).cloned().collect())
    }

    /// This address alone.
    pub fn at(address: SocketAddr) -> Addresses {
        let text = Bytes::from(address.to_string());
        let own = match address {
            SocketAddr::V4(v4) => {
                let mut raw = libc::sockaddr_in::zeroed();
                raw.sin_family = libc::AF_INET as libc::sa_family_t;
                raw.sin_port = v4.port().to_be();
                raw.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
                // SAFETY: a structure without gaps, as many bytes as it has.
                Address::of_bytes(unsafe { slice::from_raw_parts(ptr::from_ref(&raw).cast(), size_of_val(&raw)) }, text)
            }
            SocketAddr::V6(v6) => {
                let mut raw = libc::sockaddr_in6::zeroed();
                raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                raw.sin6_port = v6.port().to_be();
                raw.sin6_addr.s6_addr = v6.ip().octets();
                raw.sin6_scope_id = v6.scope_id();
                // SAFETY: as above.
                Address::of_bytes(unsafe { slice::from_raw_parts(ptr::from_ref(&raw).cast(), size_of_val(&raw)) }, text)
            }
        };
        Addresses(own.into_iter().collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// One of them.
    pub fn get(&self, index: usize) -> Option<&Address> {
        self.0.get(index)
    }

    /// The text of one of them.
    pub fn text(&self, index: usize) -> Bytes {
        self.get(index).map(|address| address.text.clone()).unwrap_or_default()
    }

    /// Each of them alone, by its text, in the order of the texts.
    pub fn each(&self) -> Vec<(Bytes, Addresses)> {
        let alone = |address: &Address| (address.text.clone(), Addresses(Rc::new([address.clone()])));
        let mut each: Vec<_> = self.0.iter().map(alone).collect();
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
        self.0.iter().map(Address::bytes)
    }

    /// The bytes that identify this list.
    pub fn key(&self) -> Vec<u8> {
        self.bytes().flat_map(|bytes| [&bytes.len().to_le_bytes()[..], bytes].concat()).collect()
    }

    /// A number for this list, the same in all workers. It is not 0.
    pub fn number(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.key().hash(&mut hasher);
        hasher.finish() | 1
    }

    /// For each address its place in the former list.
    pub fn places_in(&self, former: &Addresses) -> Vec<Option<usize>> {
        self.bytes().map(|bytes| former.bytes().position(|other| other == bytes)).collect()
    }
}

/// The name in an argument, without its port; its port, and whether that is the default one. `None`: it is an address.
pub fn name_of(conf: &Conf<'_>, text: ngx_str_t, default_port: u16) -> Result<Option<(Bytes, u16, bool)>, Unresolved> {
    let url = parse(conf, text, default_port, false)?;
    let is_address = url.naddrs > 0 || url.host.len == 0;
    let name = Bytes::copy_from_slice(url.host.as_bytes());
    Ok((!is_address).then_some((name, url.port, url.no_port() != 0)))
}

/// Parses an argument, which may have a name: `resolve` says whether its addresses are looked for.
fn parse(conf: &Conf<'_>, text: ngx_str_t, default_port: u16, resolve: bool) -> Result<ngx_url_t, Unresolved> {
    let mut url = ngx_url_t::zeroed();
    url.url = text;
    url.default_port = default_port;
    url.set_no_resolve(u32::from(!resolve));

    // SAFETY: the pool of the configuration, which lives as long as it, as the line's arguments do.
    if unsafe { ngx_parse_url((*conf.as_ptr()).pool, &raw mut url) } == NGX_OK as isize {
        return Ok(url);
    }
    if url.err.is_null() {
        return Err(Unresolved::NoMemory);
    }
    // SAFETY: nginx points `err` to a string literal.
    let err = unsafe { CStr::from_ptr(url.err) };
    Err(Unresolved::Invalid(err.to_string_lossy().into_owned()))
}
