//! One connection to a memcached: its socket, its events, and its lines in the error log.

#![allow(unsafe_code)]

use core::cell::Cell;
use core::ffi::{c_int, CStr};
use core::mem::MaybeUninit;
use core::ptr::{self, addr_of_mut, NonNull};
use std::io::{self, IoSlice};
use std::rc::Rc;

use bytes::Bytes;
use memcache_engine::stats::Fault;
use memcache_engine::{Cause, ConnId, Loss, ServerId};
use nginx_sys::{
    ngx_addr_t, ngx_buf_t, ngx_chain_t, ngx_close_connection, ngx_connection_log_error_e_NGX_ERROR_INFO,
    ngx_connection_t, ngx_event_connect_peer, ngx_event_get_peer, ngx_event_t, ngx_handle_read_event,
    ngx_handle_write_event, ngx_log_t, ngx_peer_connection_t, ngx_post_event, ngx_posted_next_events, ngx_str_t,
    ngx_tcp_nodelay, u_char, NGX_AGAIN, NGX_DECLINED, NGX_ERROR, NGX_OK,
};

use crate::driver::Driver;
use crate::nginx::guard::guard;
use crate::nginx::log::Log;

/// How many pieces of memory one write takes.
pub const SLICES: usize = 32;

/// A socket that is connecting or connected, closed when the peer goes. It does not move, as nginx's structures point
/// to it: hence the `Rc`, with which a handler keeps the peer that it works on.
pub struct Peer {
    /// The driver that owns it and gets its events.
    driver: NonNull<Driver>,
    conn: ConnId,
    /// NULL until the socket was opened. From then on it is open for as long as the peer lives.
    connection: Cell<*mut ngx_connection_t>,
    /// Set until the kernel has said whether the connect succeeded.
    connecting: Cell<bool>,
    /// Set while the socket takes no more bytes; its write event then continues.
    blocked: Cell<bool>,
    /// The worker's log with this peer as its context. Invariant: its `data` points to this peer.
    log: Cell<ngx_log_t>,
    server: ServerId,
    name: Bytes,
}

/// How a connect went.
pub enum Connect {
    /// Connected at once.
    Done,
    /// The write event will tell.
    Pending,
    /// It failed, and nginx has logged why.
    Failed(Loss),
}

/// What a read or a write came to.
pub enum Io {
    /// So many bytes.
    Bytes(usize),
    /// None; the socket's event will tell when to go on.
    Blocked,
    /// The connection is lost.
    Lost(Loss),
}

impl Peer {
    /// A peer without a socket.
    ///
    /// # Safety
    ///
    /// The driver outlives the peer; `log` outlives both.
    pub unsafe fn new(
        driver: NonNull<Driver>,
        conn: ConnId,
        server: ServerId,
        name: Bytes,
        log: *mut ngx_log_t,
    ) -> Rc<Peer> {
        // SAFETY: by the contract. A copy, because its context is this connection's alone.
        let mut log = unsafe { log.read() };
        log.connection = 0;
        log.handler = Some(append_context);
        log.action = c"connecting to".as_ptr().cast_mut();
        let peer = Rc::new(Peer {
            driver,
            conn,
            connection: Cell::new(ptr::null_mut()),
            connecting: Cell::new(true),
            blocked: Cell::new(false),
            log: Cell::new(log),
            server,
            name,
        });
        log.data = ptr::from_ref(&*peer).cast_mut().cast();
        peer.log.set(log);
        peer
    }

    /// Opens the socket and begins to connect.
    pub fn connect(&self, address: &ngx_addr_t) -> Connect {
        let mut name = ngx_str_t { len: self.name.len(), data: self.name.as_ptr().cast_mut() };
        // SAFETY: nginx's own users of this structure begin with zeros.
        let mut pc: ngx_peer_connection_t = unsafe { MaybeUninit::zeroed().assume_init() };
        pc.sockaddr = address.sockaddr;
        pc.socklen = address.socklen;
        pc.name = &raw mut name;
        pc.get = Some(ngx_event_get_peer);
        pc.log = self.log.as_ptr();
        // One line for each connection that is lost is the driver's to write, with what it took along.
        pc.set_log_error(ngx_connection_log_error_e_NGX_ERROR_INFO);

        // SAFETY: `pc` is complete. nginx may close idle client connections to make room for this one, which runs
        // other handlers, so the caller holds no borrow.
        let rc = unsafe { ngx_event_connect_peer(&raw mut pc) };
        match i32::try_from(rc).unwrap_or(NGX_ERROR) {
            NGX_DECLINED => return Connect::Failed(loss_of_connect(io::Error::last_os_error())),
            0 | NGX_AGAIN if !pc.connection.is_null() => {}
            _ => return Connect::Failed(Loss::NoResources),
        }

        let c = pc.connection;
        self.connection.set(c);
        // SAFETY: nginx gives the connection to us until we close it, which is when the peer goes.
        unsafe {
            (*c).data = ptr::from_ref(self).cast_mut().cast();
            (*self.log.as_ptr()).connection = (*c).number;
            (*(*c).read).handler = Some(on_read);
            (*(*c).write).handler = Some(on_write);
        }
        if rc == NGX_OK as isize {
            self.set_connected();
            return Connect::Done;
        }
        Connect::Pending
    }

    fn set_connected(&self) {
        self.connecting.set(false);
        // SAFETY: the log is this peer's, the connection is open.
        unsafe {
            (*self.log.as_ptr()).action = c"talking to".as_ptr().cast_mut();
            // A failure is logged by nginx and costs time only. It leaves sockets without the option alone.
            ngx_tcp_nodelay(self.connection.get());
        }
    }

    /// Asks the kernel how the connect went. `None`: nothing is wrong so far.
    pub fn connect_error(&self) -> Option<Loss> {
        let mut errno: c_int = 0;
        let mut len = size_of::<c_int>() as nginx_sys::socklen_t;
        // SAFETY: the connection is open; both results point to memory of the right size.
        let rc = unsafe {
            nginx_sys::getsockopt(
                (*self.connection.get()).fd,
                nginx_sys::SOL_SOCKET as c_int,
                nginx_sys::SO_ERROR as c_int,
                (&raw mut errno).cast(),
                &raw mut len,
            )
        };
        if rc == -1 {
            errno = io::Error::last_os_error().raw_os_error().unwrap_or_default();
        }
        if errno == 0 {
            return None;
        }
        let loss = loss_of_connect(io::Error::from_raw_os_error(errno));
        // SAFETY: the driver outlives its peers; the log is this peer's, which outlives the call.
        let (driver, log) = unsafe { (self.driver.as_ref(), Log::new(self.log.as_ptr())) };
        if let Some(log) = log.filter(|_| driver.may_say(self.server, Fault::from(&Cause::Lost(loss)))) {
            log.os_error(errno, format_args!("connect() failed"));
        }
        Some(loss)
    }

    /// Whether the kernel has yet to say how the connect went.
    pub fn is_connecting(&self) -> bool {
        self.connecting.get()
    }

    /// Ends the phase of connecting. `Err`: the connect failed, which has been logged.
    pub fn finish_connect(&self) -> Result<(), Loss> {
        match self.connect_error() {
            Some(loss) => Err(loss),
            None => {
                self.set_connected();
                Ok(())
            }
        }
    }

    /// Reads once, as much as fits.
    pub fn read(&self, buffer: &mut [MaybeUninit<u8>]) -> Io {
        let c = self.connection.get();
        // SAFETY: the connection is open, and `recv` is set in every connection that is; it writes to the buffer.
        let n = unsafe {
            match (*c).recv {
                Some(recv) => recv(c, buffer.as_mut_ptr().cast(), buffer.len()),
                None => NGX_ERROR as isize,
            }
        };
        match usize::try_from(n) {
            Ok(0) => Io::Lost(Loss::Eof),
            Ok(n) => Io::Bytes(n),
            Err(_) if n == NGX_AGAIN as isize => Io::Blocked,
            Err(_) => Io::Lost(Loss::Error),
        }
    }

    /// Writes once: with `send` if it is one piece, which is the common case, else with `writev`.
    pub fn write(&self, slices: &[IoSlice<'_>]) -> Io {
        if !self.can_write() {
            return Io::Blocked;
        }
        let io = match slices {
            [one] => self.send(one),
            many => self.send_chain(many),
        };
        self.blocked.set(!self.can_write());
        io
    }

    fn send(&self, bytes: &[u8]) -> Io {
        let c = self.connection.get();
        // SAFETY: as in `read`; nginx only reads the bytes, whatever its type says.
        let n = unsafe {
            match (*c).send {
                Some(send) => send(c, bytes.as_ptr().cast_mut(), bytes.len()),
                None => NGX_ERROR as isize,
            }
        };
        match usize::try_from(n) {
            Ok(0) => Io::Blocked,
            Ok(n) => Io::Bytes(n),
            Err(_) if n == NGX_AGAIN as isize => Io::Blocked,
            Err(_) => Io::Lost(Loss::Error),
        }
    }

    fn send_chain(&self, slices: &[IoSlice<'_>]) -> Io {
        // SAFETY: nginx's buffers and links begin as zeros.
        let mut buffers: [ngx_buf_t; SLICES] = unsafe { MaybeUninit::zeroed().assume_init() };
        // SAFETY: as above.
        let mut links: [ngx_chain_t; SLICES] = unsafe { MaybeUninit::zeroed().assume_init() };
        let mut next: *mut ngx_chain_t = ptr::null_mut();
        for ((slice, buffer), link) in slices.iter().zip(&mut buffers).zip(&mut links).rev() {
            let range = slice.as_ptr_range();
            buffer.pos = range.start.cast_mut();
            buffer.last = range.end.cast_mut();
            buffer.set_memory(1);
            link.buf = buffer;
            link.next = next;
            next = link;
        }

        let c = self.connection.get();
        // SAFETY: as in `read`; the chain and what it points to are there until the call returns.
        let (rest, sent) = unsafe {
            let before = (*c).sent;
            let rest = match (*c).send_chain {
                Some(send_chain) => send_chain(c, next, 0),
                None => ptr::without_provenance_mut(usize::MAX),
            };
            (rest, (*c).sent.wrapping_sub(before))
        };
        if rest.addr() == usize::MAX {
            return Io::Lost(Loss::Error);
        }
        match usize::try_from(sent) {
            Ok(0) | Err(_) => Io::Blocked,
            Ok(sent) => Io::Bytes(sent),
        }
    }

    /// Whether the socket takes bytes, as far as known.
    pub fn can_write(&self) -> bool {
        // SAFETY: the connection is open, so it has its events.
        !self.is_connecting() && unsafe { (*(*self.connection.get()).write).ready() != 0 }
    }

    /// Whether a write was cut short, so that the write event has to continue.
    pub fn is_blocked(&self) -> bool {
        self.blocked.get()
    }

    /// Whether there may be something to read.
    pub fn can_read(&self) -> bool {
        // SAFETY: as in `can_write`.
        unsafe { (*(*self.connection.get()).read).ready() != 0 }
    }

    /// Has the read event come again in the next turn of the event loop.
    pub fn read_again(&self) {
        // SAFETY: as in `can_write`; nginx takes the event back when the connection is closed.
        unsafe { ngx_post_event((*self.connection.get()).read, addr_of_mut!(ngx_posted_next_events)) };
    }

    /// Keeps both events coming, which not every event method of nginx does by itself.
    pub fn watch(&self) -> Result<(), Loss> {
        let c = self.connection.get();
        // SAFETY: as in `can_write`.
        let watched = unsafe {
            ngx_handle_read_event((*c).read, 0) == NGX_OK as isize
                && ngx_handle_write_event((*c).write, 0) == NGX_OK as isize
        };
        if watched {
            Ok(())
        } else {
            Err(Loss::NoResources)
        }
    }

    /// Tells nginx whether the connection may be closed without harm.
    pub fn set_idle(&self, idle: bool) {
        // SAFETY: the connection is open.
        unsafe { (*self.connection.get()).set_idle(idle.into()) };
    }

    /// Whether nginx has asked to close the connection, and if so, whether it insists: the time of
    /// `worker_shutdown_timeout` is over. Asking clears the request.
    pub fn close_requested(&self) -> Option<bool> {
        let c = self.connection.get();
        // SAFETY: the connection is open.
        unsafe {
            if (*c).close() == 0 {
                return None;
            }
            (*c).set_close(0);
            Some((*c).error() != 0)
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let c = self.connection.replace(ptr::null_mut());
        if !c.is_null() {
            // SAFETY: it is open and ours; nginx takes its events back, also posted ones, and logs with the log that
            // is still there.
            unsafe { ngx_close_connection(c) };
        }
    }
}

/// What the system says of a connect that failed.
fn loss_of_connect(error: io::Error) -> Loss {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Loss::Refused,
        io::ErrorKind::NotFound => Loss::NoSocket,
        io::ErrorKind::PermissionDenied => Loss::Denied,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            Loss::Unreachable
        }
        // All local ports are taken.
        io::ErrorKind::AddrNotAvailable => Loss::NoResources,
        _ => Loss::Connect,
    }
}

/// The driver and the connection of an event.
///
/// # Safety
///
/// `event` is one of a connection that a peer has opened and not closed. The peer may be gone when the driver returns.
unsafe fn target<'a>(event: *mut ngx_event_t) -> Option<(&'a Driver, ConnId)> {
    // SAFETY: such an event's data is its connection, whose data is the peer; the peer's driver outlives it.
    unsafe {
        let c = (*event).data.cast::<ngx_connection_t>().as_ref()?;
        let peer = c.data.cast::<Peer>().as_ref()?;
        Some((peer.driver.as_ref(), peer.conn))
    }
}

unsafe extern "C" fn on_read(event: *mut ngx_event_t) {
    guard((), || {
        // SAFETY: nginx calls the handlers of open connections only.
        if let Some((driver, conn)) = unsafe { target(event) } {
            driver.on_readable(conn);
        }
    });
}

unsafe extern "C" fn on_write(event: *mut ngx_event_t) {
    guard((), || {
        // SAFETY: nginx calls the handlers of open connections only.
        if let Some((driver, conn)) = unsafe { target(event) } {
            driver.on_writable(conn);
        }
    });
}

/// Appends ` while connecting to memcache server "127.0.0.1:11211"` to a line of the log.
unsafe extern "C" fn append_context(log: *mut ngx_log_t, buffer: *mut u_char, len: usize) -> *mut u_char {
    guard(buffer, || {
        // SAFETY: the log is that of a peer, which its data points to, while its connection is open; `action` is a C
        // string of ours.
        let (peer, action) = unsafe { (&*(*log).data.cast::<Peer>(), CStr::from_ptr((*log).action)) };
        let text = format!(" while {} memcache server \"{}\"", action.to_string_lossy(), peer.name.escape_ascii());
        let len = text.len().min(len);
        // SAFETY: nginx passes what is left of its buffer; no more is written to it.
        unsafe {
            buffer.copy_from_nonoverlapping(text.as_ptr(), len);
            buffer.add(len)
        }
    })
}
