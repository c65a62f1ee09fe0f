//! The worker's client.

#![forbid(unsafe_code)]

pub(crate) mod server;

use std::fmt;
use std::time::Duration;

use ngx::ffi::ngx_module_t;
use ngx::http::Request;

use crate::error::Error;
use crate::event_loop;
use crate::ffi::call::refuse_value;
use crate::ffi::find;
use crate::ffi::handle::{Block, Handle};
use crate::operation::lease::Won;
use crate::operation::multi::GetMulti;
use crate::operation::params::{Params, MAX_RELATIVE};
use crate::operation::ttl::Ttl;
use crate::operation::value::IntoValue;
use crate::operation::{kind, Operation};
use crate::sys;

/// The memcached client of a server block, shared by all modules of the worker.
///
/// It is a pair of pointers, and costs a few instructions to get: ask for it in each request, and do not keep it in a
/// static, because a configuration that is no longer in use takes its clients along.
///
/// Keys are 1 to 250 bytes of any kind, together with `memcache_prefix`; up to 186 if they contain spaces or control
/// characters; up to 8192 with `memcache_long_keys hash`. Anything else is refused with [`Error::InvalidKey`] before a byte is sent, as are values larger than
/// [`max_value`](Client::max_value) with [`Error::TooLarge`].
///
/// ```no_run
/// use ngx_memcache::{Client, Error, Seconds};
///
/// async fn visits(mc: Client, page: &str) -> Result<u64, Error> {
///     let visits = mc.incr(format!("visits:{page}"), 1).initial(1).ttl(3600.secs()).await?;
///     Ok(visits.unwrap_or(0))
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Client(Handle);

impl Client {
    /// The client of the server block that handles the request.
    ///
    /// Fails with [`NotLoaded`](Error::NotLoaded), [`TooOld`](Error::TooOld) or [`TooNew`](Error::TooNew) if there is
    /// no fitting module, with [`NotConfigured`](Error::NotConfigured) if no `memcache_server` applies, and with
    /// [`NotAvailable`](Error::NotAvailable) outside of workers.
    pub fn from_request(request: &Request) -> Result<Self, Error> {
        let handle = Handle::of_request(find::table()?, request)?;
        event_loop::entered();
        Ok(Client(handle))
    }

    /// The client of a block of the configuration, for what belongs to no request: `init_process`, a timer, another
    /// thread.
    ///
    /// Fails as [`from_request`](Client::from_request) does, and with [`NotConfigured`](Error::NotConfigured) for a
    /// block of another configuration than the worker's.
    pub fn from_block(block: Block) -> Result<Self, Error> {
        let handle = Handle::of_block(find::table()?, block).map_err(|error| match error {
            Error::Other(sys::NGX_HTTP_MEMCACHE_STALE) => Error::NotConfigured,
            error => error,
        })?;
        event_loop::entered();
        Ok(Client(handle))
    }

    /// The client of a `memcache_cluster`, for what belongs to no block.
    ///
    /// [`http::directive::require_named`](crate::http::directive::require_named) checks the name when the configuration is read.
    /// Keep the client no longer than the worker's configuration. Fails as [`from_request`](Client::from_request) does, and with
    /// [`NotConfigured`](Error::NotConfigured) if there is no cluster of this name.
    pub fn named(name: &str) -> Result<Self, Error> {
        let handle = Handle::of_name(find::table()?, name.as_bytes())?;
        event_loop::entered();
        Ok(Client(handle))
    }

    /// The same client for a module: operations with it are the module's.
    ///
    /// The status shows them under the module's name. Where several modules use a client, none of them can take all of its
    /// queues and connections: a module that waits with more than its share gets [`Busy`](Error::Busy), and the others do not.
    /// Modules that have not said who they are count as one, and so do those beyond 31.
    ///
    /// `module` is the address of the module's `ngx_module_t`. It is compared with those of nginx's modules, and fails if it is
    /// none of them.
    ///
    /// ```no_run
    /// # use ngx::ffi::ngx_module_t;
    /// # use ngx::http::Request;
    /// # use ngx_memcache::{Client, Error};
    /// # fn example(request: &Request, ngx_http_hello_module: *const ngx_module_t) -> Result<(), Error> {
    /// let mc = Client::from_request(request)?.of_module(ngx_http_hello_module)?;
    /// # Ok(()) }
    /// ```
    pub fn of_module(self, module: *const ngx_module_t) -> Result<Self, Error> {
        self.0.of_module(module).map(Client)
    }

    /// Reads an item: `None` if there is none.
    ///
    /// ```no_run
    /// # use ngx_memcache::{Client, Error};
    /// # async fn example(mc: Client) -> Result<(), Error> {
    /// if let Some(item) = mc.get("cow").await? {
    ///     let bytes: &[u8] = item.value();
    ///     let text: String = item.decode()?;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn get<K: AsRef<[u8]>>(&self, key: K) -> Operation<'static, K, kind::Get> {
        self.operation(sys::NGX_HTTP_MEMCACHE_GET, key)
    }

    /// Reads an item and sets its life anew.
    pub fn get_and_touch<K: AsRef<[u8]>>(&self, key: K, ttl: impl Into<Ttl>) -> Operation<'static, K, kind::Get> {
        self.operation(sys::NGX_HTTP_MEMCACHE_GAT, key).with_ttl(ttl.into())
    }

    /// Reads several items at once: the results in the order of the keys.
    ///
    /// All are submitted together, so that they travel in one write to each server; a server that fails does not
    /// spoil the items of the others.
    ///
    /// ```no_run
    /// # use ngx_memcache::{Client, Error};
    /// # async fn example(mc: Client) -> Result<(), Error> {
    /// for item in mc.get_multi(["head", "body", "foot"]).await {
    ///     let item = item?;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn get_multi<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> GetMulti<K> {
        GetMulti::new(self.0, keys.into_iter())
    }

    /// Stores an item, whatever was there; with [`cas`](Operation::cas), only over the version named.
    ///
    /// ```no_run
    /// # use ngx_memcache::{Cas, Client, Error, Seconds};
    /// # async fn example(mc: Client, bytes: &[u8]) -> Result<(), Error> {
    /// mc.set("cow", "moo").ttl(60.secs()).await?;
    /// mc.set("answer", 42_u64).await?;
    /// mc.set("picture", bytes).flags(7).await?;
    ///
    /// if let Some(item) = mc.get("cow").await? {
    ///     if mc.set("cow", "moo moo").cas(item.cas()).await? == Cas::Changed {
    ///         // somebody else was faster
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn set<'v, K: AsRef<[u8]>>(&self, key: K, value: impl IntoValue<'v>) -> Operation<'v, K, kind::Set> {
        self.operation(sys::NGX_HTTP_MEMCACHE_SET, key).with_value(value)
    }

    /// Stores an item if there is none: `false` if there is one.
    pub fn add<'v, K: AsRef<[u8]>>(&self, key: K, value: impl IntoValue<'v>) -> Operation<'v, K, kind::Store> {
        self.operation(sys::NGX_HTTP_MEMCACHE_ADD, key).with_value(value)
    }

    /// Stores an item if there is one: `false` if there is none.
    pub fn replace<'v, K: AsRef<[u8]>>(&self, key: K, value: impl IntoValue<'v>) -> Operation<'v, K, kind::Store> {
        self.operation(sys::NGX_HTTP_MEMCACHE_REPLACE, key).with_value(value)
    }

    /// Adds to the end of an item's value: `false` if there is no item, or memcached has no room for the longer value. If that is
    /// larger than `memcache_max_value`, it cannot be read.
    pub fn append<'v, K: AsRef<[u8]>>(&self, key: K, value: impl IntoValue<'v>) -> Operation<'v, K, kind::Extend> {
        self.operation(sys::NGX_HTTP_MEMCACHE_APPEND, key).with_value(value)
    }

    /// Adds to the beginning of an item's value, as `append` does to its end.
    pub fn prepend<'v, K: AsRef<[u8]>>(&self, key: K, value: impl IntoValue<'v>) -> Operation<'v, K, kind::Extend> {
        self.operation(sys::NGX_HTTP_MEMCACHE_PREPEND, key).with_value(value)
    }

    /// Deletes an item: `false` if there is none. With [`cas`](Operation::cas), only the version named.
    pub fn delete<K: AsRef<[u8]>>(&self, key: K) -> Operation<'static, K, kind::Delete> {
        self.operation(sys::NGX_HTTP_MEMCACHE_DELETE, key)
    }

    /// Adds to a number: the new one, or `None` if there is no item and no [`initial`](Operation::initial) number.
    /// Wraps around at 2⁶⁴.
    pub fn incr<K: AsRef<[u8]>>(&self, key: K, delta: u64) -> Operation<'static, K, kind::Count> {
        self.operation(sys::NGX_HTTP_MEMCACHE_INCR, key).with_delta(delta)
    }

    /// Subtracts from a number, as [`incr`](Client::incr) adds to it. Stops at 0.
    pub fn decr<K: AsRef<[u8]>>(&self, key: K, delta: u64) -> Operation<'static, K, kind::Count> {
        self.operation(sys::NGX_HTTP_MEMCACHE_DECR, key).with_delta(delta)
    }

    /// Sets the life of an item anew: `false` if there is none.
    pub fn touch<K: AsRef<[u8]>>(&self, key: K, ttl: impl Into<Ttl>) -> Operation<'static, K, kind::Touch> {
        self.operation(sys::NGX_HTTP_MEMCACHE_TOUCH, key).with_ttl(ttl.into())
    }

    /// Reads an item. If it is missing or stale, memcached appoints one of all callers, in all workers and on all machines, to
    /// make it: a [`Lease`](crate::Lease).
    ///
    /// `vivify` is the time that the appointed caller has for a missing item, in whole seconds, rounded up, at most 30 days. If
    /// this is dropped before its answer has come, the module hands back the lease that memcached may have given, so that another
    /// caller makes the item.
    ///
    /// ```no_run
    /// # use ngx_memcache::{Cas, Client, Error, Item, Lease, Seconds};
    /// # async fn render() -> Option<String> { None }
    /// async fn page(mc: Client) -> Result<Option<Vec<u8>>, Error> {
    ///     let item = match mc.lease("page", 30.secs()).recache(10.secs()).await? {
    ///         Lease::Hit(item) => Some(item),
    ///         Lease::Won(won) => match render().await {
    ///             Some(page) => {
    ///                 mc.set("page", page.as_str()).ttl(60.secs()).cas(won.cas).await?;
    ///                 return Ok(Some(page.into_bytes()));
    ///             }
    ///             None => {
    ///                 mc.hand_back("page", &won).await?;
    ///                 won.old
    ///             }
    ///         },
    ///         Lease::Lost { old, .. } => old,
    ///     };
    ///     Ok(item.map(|item| item.value().to_vec()))
    /// }
    /// ```
    pub fn lease<K: AsRef<[u8]>>(&self, key: K, vivify: Duration) -> Operation<'static, K, kind::Lease> {
        let vivify = vivify.clamp(Duration::from_secs(1), Duration::from_secs(MAX_RELATIVE.into()));
        self.operation(sys::NGX_HTTP_MEMCACHE_LEASE, key).with_secs(vivify)
    }

    /// Hands back a lease that cannot be used. Another caller makes the item at once then, and does not wait until the lease ends.
    /// The lease on an item that is not stale yet ends with the item, and is not handed back. memcached 1.6.10 to 1.6.12 cannot
    /// delete one version of an item: there a lease ends after its time.
    pub async fn hand_back<K: AsRef<[u8]>>(&self, key: K, won: &Won) -> Result<(), Error> {
        let handed_back = match (won.stale, &won.old) {
            (true, _) => self.invalidate(key).cas(won.cas).await,
            (false, None) => self.delete(key).cas(won.cas).await,
            (false, Some(_)) => return Ok(()),
        };
        match handed_back {
            Ok(_) | Err(Error::Unsupported(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Marks an item as stale: `false` if there is none. [`lease`](Client::lease) still finds the old value, and
    /// appoints one of its callers to make the item anew; for everybody else, the item is missing.
    ///
    /// ```no_run
    /// # use ngx_memcache::{Client, Error, Seconds};
    /// # async fn example(mc: Client) -> Result<(), Error> {
    /// let found = mc.invalidate("page").ttl(60.secs()).await?;
    /// # Ok(()) }
    /// ```
    pub fn invalidate<K: AsRef<[u8]>>(&self, key: K) -> Operation<'static, K, kind::Invalidate> {
        self.operation(sys::NGX_HTTP_MEMCACHE_INVALIDATE, key)
    }

    /// Asks about an item, without reading it and without counting as a use of it: `None` if there is none.
    ///
    /// ```no_run
    /// # use ngx_memcache::{Client, Error};
    /// # async fn example(mc: Client) -> Result<(), Error> {
    /// if let Some(metadata) = mc.inspect("page").await? {
    ///     println!("{} bytes, used {:?} ago", metadata.size, metadata.idle);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn inspect<K: AsRef<[u8]>>(&self, key: K) -> Operation<'static, K, kind::Inspect> {
        self.operation(sys::NGX_HTTP_MEMCACHE_INSPECT, key)
    }

    /// The version of the item that a [`get`](Client::get) would find, without reading it: `None` if there is none. Where a
    /// server has no metadata, as with `memcache_protocol text`, the item is read. The example needs more than text, which compares
    /// versions on set alone.
    ///
    /// For memcached, an item that is [stale](Client::invalidate) exists, and so does the place of one that a caller was told to
    /// [make](Client::lease): `add` stores nothing, `replace` does, `append` makes a stale value readable again, `incr` counts on
    /// it. Where that matters, ask this first, and change that version by the `cas` of the operation, as `examples/kv` does.
    ///
    /// ```no_run
    /// # use ngx_memcache::{Cas, Client, Error};
    /// # async fn example(mc: Client) -> Result<(), Error> {
    /// let Some(version) = mc.found("list").await? else { return Ok(()) };
    /// let changed = mc.append("list", ", cow").cas(version).await? == Cas::Changed;
    /// # Ok(()) }
    /// ```
    pub async fn found<K: AsRef<[u8]>>(&self, key: K) -> Result<Option<u64>, Error> {
        let key = key.as_ref();
        match self.inspect(key).await {
            // Who has no metadata has nothing stale either: what is there is found.
            Err(Error::Unsupported(_)) => Ok(self.get(key).await?.map(|item| item.cas())),
            metadata => Ok(metadata?.filter(|metadata| !metadata.stale).map(|metadata| metadata.cas)),
        }
    }

    /// The largest value, in bytes, that can be stored: `memcache_max_value`.
    pub fn max_value(&self) -> usize {
        self.0.max_value()
    }

    /// Whether a value of so many bytes can be stored under the key: [`Error::TooLarge`] if it is larger than
    /// [`max_value`](Client::max_value). It is counted and logged then as a store that was refused. This is for values
    /// whose length is known before they are there, such as [the body of a request](crate::http::spawn_with_body_or).
    pub fn check_value_len<K: AsRef<[u8]>>(&self, key: K, len: usize) -> Result<(), Error> {
        if len <= self.max_value() {
            return Ok(());
        }
        let op = Params::new(sys::NGX_HTTP_MEMCACHE_SET).op(key.as_ref(), b"");
        refuse_value(self.0, op, len)
    }

    /// Submits an operation whose answer nobody waits for. It outlives the caller and its request; if it cannot be
    /// submitted, there is nobody to tell.
    pub(crate) fn submit_and_forget(&self, key: &[u8], params: &Params) {
        let _ = self.0.submit_and_forget(&mut params.op(key, b""));
    }

    pub(crate) fn operation<'v, K, O>(&self, number: u32, key: K) -> Operation<'v, K, O> {
        Operation::new(self.0, number, key)
    }

    pub(crate) fn handle(&self) -> Handle {
        self.0
    }

    pub(crate) fn from_handle(handle: Handle) -> Self {
        Client(handle)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.0.as_ptr()).finish()
    }
}
