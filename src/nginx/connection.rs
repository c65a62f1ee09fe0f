//! A connection that we open: its socket, its events, and its context in the error log.

#![allow(unsafe_code)]

mod tls;
mod write;

use core::cell::{Cell, RefCell};
use core::ffi::{c_int, CStr};
use core::ptr::{self, addr_of_mut};
use std::io;
use std::rc::{Rc, Weak};

use bytes::{BufMut, Bytes, BytesMut};
use nginx_sys::{
    ngx_close_connection, ngx_connection_log_error_e_NGX_ERROR_INFO, ngx_connection_t, ngx_event_connect_peer,
    ngx_event_get_peer, ngx_event_t, ngx_handle_read_event, ngx_handle_write_event, ngx_log_t, ngx_peer_connection_t,
    ngx_post_event, ngx_posted_next_events, ngx_str_t, ngx_tcp_nodelay, u_char, NGX_AGAIN, NGX_DECLINED, NGX_ERROR,
    NGX_OK,
};

use super::address::Address;
use super::global::Zeroed;
use super::guard::guard;
use super::log::Log;
use super::ssl::Peer;

/// How many pieces of memory one write takes.
pub const SLICES: usize = 32;

/// The owner of connections, which gets their events.
pub trait Owner: 'static {
    /// The owner's name for a connection.
    type Id: Copy;

    /// There may be data to read, or nginx wants to close the connection, or the connect failed.
    fn on_readable(&self, id: Self::Id);
    /// The socket takes bytes (again), or is connected.
    fn on_writable(&self, id: Self::Id);
}

/// A socket that is connecting or connected. It is closed when the last clone goes: a handler keeps one of the connection
/// that it works on.
pub struct Connection<O: Owner>(Rc<Inner<O>>);

impl<O: Owner> Clone for Connection<O> {
    fn clone(&self) -> Self {
        Connection(self.0.clone())
    }
}

/// It must not move: nginx's structures point to it.
struct Inner<O: Owner> {
    owner: Weak<O>,
    id: O::Id,
    /// NULL until the socket was opened. From then on it is open for as long as this lives.
    connection: Cell<*mut ngx_connection_t>,
    /// Set until the kernel has said whether the connect succeeded.
    connecting: Cell<bool>,
    /// Set while the socket takes no more bytes; its write event then continues.
    blocked: Cell<bool>,
    /// How it is secured; `None`: not at all.
    tls: Option<Rc<Peer>>,
    handshake: Cell<Step>,
    /// What TLS has accepted and not written yet. It does not move until it is written.
    record: RefCell<BytesMut>,
    context: Context,
}

/// How far a handshake is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Step {
    /// It has not begun.
    #[default]
    None,
    /// The server has said nothing yet.
    Begun,
    /// The server speaks TLS.
    Answered,
}

/// The end of the connection's lines in the log.
struct Context {
    /// A copy of the owner's, as its context is this connection's alone. Invariant: its `data` points to this.
    log: Cell<ngx_log_t>,
    /// Of the other end.
    name: Bytes,
}

/// The result of a connect.
pub enum Connect {
    /// Connected at once.
    Done,
    /// The write event will tell.
    Pending,
    /// It failed, and nginx has logged why.
    Failed(io::Error),
    /// nginx has no connection left, or no memory.
    NoResources,
}

/// The result of a read or a write.
pub enum Io {
    /// So many bytes.
    Bytes(usize),
    /// None; the socket's event comes when it can go on.
    Blocked,
    /// The other end has closed the connection.
    Eof,
    /// The connection is lost.
    Failed,
}

impl<O: Owner> Connection<O> {
    /// A connection without a socket. `name` is what the log calls the other end; `tls` how it is secured.
    pub fn new(owner: Weak<O>, id: O::Id, name: Bytes, tls: Option<Rc<Peer>>, log: Log<'static>) -> Connection<O> {
        // SAFETY: a log of the process is there, and is plain data.
        let mut log = unsafe { log.as_ptr().read() };
        log.connection = 0;
        log.handler = Some(append_context);
        log.action = c"connecting to".as_ptr().cast_mut();
        let inner = Rc::new(Inner {
            owner,
            id,
            connection: Cell::new(ptr::null_mut()),
            connecting: Cell::new(true),
            blocked: Cell::new(false),
            tls,
            handshake: Cell::default(),
            record: RefCell::default(),
            context: Context { log: Cell::new(log), name },
        });
        log.data = ptr::from_ref(&inner.context).cast_mut().cast();
        inner.context.log.set(log);
        Connection(inner)
    }

    /// nginx's own. Invariant: NULL or open.
    fn as_ptr(&self) -> *mut ngx_connection_t {
        self.0.connection.get()
    }

    /// The log whose lines end with the action and the server.
    pub fn log(&self) -> Option<Log<'_>> {
        // SAFETY: it is there for as long as this is.
        unsafe { Log::new(self.0.context.log.as_ptr()) }
    }

    /// Opens the socket and begins to connect. Nothing is borrowed meanwhile: nginx may close idle client connections to
    /// make room for this one, which runs other handlers.
    pub fn connect(&self, address: &Address) -> Connect {
        let Context { log, name } = &self.0.context;
        let mut name = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
        let mut pc = ngx_peer_connection_t::zeroed();
        pc.sockaddr = address.sockaddr();
        pc.socklen = address.socklen();
        pc.name = &raw mut name;
        pc.get = Some(ngx_event_get_peer);
        pc.log = log.as_ptr();
        // One line for each connection that is lost is the owner's to write, with what it took along.
        pc.set_log_error(ngx_connection_log_error_e_NGX_ERROR_INFO);

        // SAFETY: `pc` is complete, and the address is there.
        let rc = unsafe { ngx_event_connect_peer(&raw mut pc) };
        match i32::try_from(rc).unwrap_or(NGX_ERROR) {
            NGX_DECLINED => return Connect::Failed(io::Error::last_os_error()),
            0 | NGX_AGAIN if !pc.connection.is_null() => {}
            _ => return Connect::NoResources,
        }

        let c = pc.connection;
        self.0.connection.set(c);
        // SAFETY: nginx gives the connection to us until we close it, which is when `Inner` goes.
        unsafe {
            (*c).data = Rc::as_ptr(&self.0).cast_mut().cast();
            (*log.as_ptr()).connection = (*c).number;
        }
        self.set_handlers();
        if rc == NGX_OK as isize {
            return Connect::Done;
        }
        Connect::Pending
    }

    fn set_handlers(&self) {
        let c = self.as_ptr();
        // SAFETY: the connection is open, so it has its events.
        unsafe {
            (*(*c).read).handler = Some(on_event::<O, false>);
            (*(*c).write).handler = Some(on_event::<O, true>);
        }
    }

    /// Ends the phase of connecting.
    pub fn set_connected(&self) {
        self.0.connecting.set(false);
        self.set_action(c"talking to");
        // SAFETY: the connection is open. A failure is logged by nginx and costs time only. It leaves sockets without the option
        // alone.
        unsafe { ngx_tcp_nodelay(self.as_ptr()) };
    }

    fn set_action(&self, action: &'static CStr) {
        // SAFETY: the log is this connection's.
        unsafe { (*self.0.context.log.as_ptr()).action = action.as_ptr().cast_mut() };
    }

    /// Asks the kernel for the result of the connect. `Ok`: there is no error so far.
    pub fn connect_result(&self) -> Result<(), io::Error> {
        let mut errno: c_int = 0;
        let mut len = size_of::<c_int>() as nginx_sys::socklen_t;
        // SAFETY: the connection is open; both results point to memory of the right size.
        let rc = unsafe {
            nginx_sys::getsockopt(
                (*self.as_ptr()).fd,
                nginx_sys::SOL_SOCKET as c_int,
                nginx_sys::SO_ERROR as c_int,
                (&raw mut errno).cast(),
                &raw mut len,
            )
        };
        match (rc, errno) {
            (-1, _) => Err(io::Error::last_os_error()),
            (_, 0) => Ok(()),
            (_, errno) => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    /// Whether the connect is pending.
    pub fn is_connecting(&self) -> bool {
        self.0.connecting.get()
    }

    /// Reads once, as much as the buffer has room for.
    pub fn read(&self, buffer: &mut BytesMut) -> Io {
        let c = self.as_ptr();
        let spare = buffer.spare_capacity_mut();
        // SAFETY: the connection is open, and `recv` is set in every connection that is; it writes to the buffer.
        let n = unsafe {
            match (*c).recv {
                Some(recv) => recv(c, spare.as_mut_ptr().cast(), spare.len()),
                None => NGX_ERROR as isize,
            }
        };
        match usize::try_from(n) {
            Ok(0) => Io::Eof,
            Ok(n) => {
                // SAFETY: the kernel has written so many bytes behind those that were there.
                unsafe { buffer.advance_mut(n) };
                Io::Bytes(n)
            }
            Err(_) if n == NGX_AGAIN as isize => Io::Blocked,
            Err(_) => Io::Failed,
        }
    }

    /// Whether the socket takes bytes, as far as known.
    pub fn can_write(&self) -> bool {
        // SAFETY: the connection is open, so it has its events.
        !self.is_connecting() && unsafe { (*(*self.as_ptr()).write).ready() != 0 }
    }

    /// Whether a write was cut short, so that the write event has to continue.
    pub fn is_blocked(&self) -> bool {
        self.0.blocked.get()
    }

    /// Whether there may be something to read.
    pub fn can_read(&self) -> bool {
        // SAFETY: as in `can_write`.
        unsafe { (*(*self.as_ptr()).read).ready() != 0 }
    }

    /// Posts the read event for the next turn of the event loop.
    pub fn read_again(&self) {
        // SAFETY: as in `can_write`; nginx takes the event back when the connection is closed.
        unsafe { ngx_post_event((*self.as_ptr()).read, addr_of_mut!(ngx_posted_next_events)) };
    }

    /// Registers both events again; some event methods of nginx need that. Returns whether it worked.
    pub fn watch(&self) -> bool {
        let c = self.as_ptr();
        // SAFETY: as in `can_write`.
        unsafe {
            ngx_handle_read_event((*c).read, 0) == NGX_OK as isize
                && ngx_handle_write_event((*c).write, 0) == NGX_OK as isize
        }
    }

    /// Tells nginx whether the connection may be closed without harm.
    pub fn set_idle(&self, idle: bool) {
        // SAFETY: the connection is open.
        unsafe { (*self.as_ptr()).set_idle(idle.into()) };
    }

    /// Whether nginx has asked to close the connection, and if so, whether it must be closed now: `worker_shutdown_timeout`
    /// is over. This clears the request.
    pub fn close_requested(&self) -> Option<bool> {
        let c = self.as_ptr();
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

impl<O: Owner> Drop for Inner<O> {
    fn drop(&mut self) {
        // It may have been the one with the password, which nobody has taken.
        self.record.get_mut().fill(0);
        core::hint::black_box(&self.record);
        let c = self.connection.replace(ptr::null_mut());
        if !c.is_null() {
            // SAFETY: it is open and ours; nginx takes its events back, also posted ones, and logs with the log that
            // is still there.
            unsafe {
                let _pool = self.tls.as_ref().map(|peer| peer.close(c));
                ngx_close_connection(c);
            }
        }
    }
}

/// The handler of both events of a connection.
unsafe extern "C" fn on_event<O: Owner, const WRITES: bool>(event: *mut ngx_event_t) {
    guard((), || {
        // SAFETY: nginx calls the handlers of open connections only; the event's data is its connection, whose data is ours.
        let inner = unsafe { (*(*event).data.cast::<ngx_connection_t>()).data.cast::<Inner<O>>().as_ref() };
        let Some((owner, id)) = inner.and_then(|inner| Some((inner.owner.upgrade()?, inner.id))) else { return };
        // The connection, and so the event, may be gone when the owner returns.
        if WRITES {
            owner.on_writable(id);
        } else {
            owner.on_readable(id);
        }
    });
}

/// Appends ` while connecting to memcache server "127.0.0.1:11211"` to a line of the log.
unsafe extern "C" fn append_context(log: *mut ngx_log_t, buffer: *mut u_char, len: usize) -> *mut u_char {
    guard(buffer, || {
        // SAFETY: the log is that of a connection that is there, whose context its data points to; `action` is a C
        // string of ours.
        let (context, action) = unsafe { (&*(*log).data.cast::<Context>(), CStr::from_ptr((*log).action)) };
        let text = format!(" while {} memcache server \"{}\"", action.to_string_lossy(), context.name.escape_ascii());
        let len = text.len().min(len);
        // SAFETY: nginx passes what is left of its buffer; no more is written to it.
        unsafe {
            buffer.copy_from_nonoverlapping(text.as_ptr(), len);
            buffer.add(len)
        }
    })
}
