//! What can only be checked when all blocks are known.

#![allow(unsafe_code)]

use core::ptr::NonNull;

use memcache_engine::Config;
use nginx_sys::{ngx_conf_t, ngx_http_conf_ctx_t, NGX_HTTP_MODULE};

use super::directive::{Directive, Place};
use super::settings::Settings;
use super::ServerConf;
use crate::cluster::Clusters;
use crate::nginx::log::Log;

/// A line of a sibling that is of no use without a client.
pub struct Want {
    /// Of the block that it is in.
    ctx: NonNull<ngx_http_conf_ctx_t>,
    directive: String,
    place: Place,
}

impl Want {
    /// The line that is being read; `None` if it is in no block of HTTP.
    ///
    /// # Safety
    ///
    /// `cf` is what nginx passes to the handler of a directive.
    pub unsafe fn of_line(cf: *mut ngx_conf_t) -> Option<Want> {
        // SAFETY: by the contract.
        let (module_type, ctx, line) = unsafe { ((*cf).module_type, (*cf).ctx, Directive::new(cf)) };
        if module_type != NGX_HTTP_MODULE as usize || line.name().is_empty() {
            return None;
        }
        let directive = line.name().escape_ascii().to_string();
        Some(Want { ctx: NonNull::new(ctx.cast())?, directive, place: line.place() })
    }

    fn is_of(&self, outer: Option<NonNull<ServerConf>>) -> bool {
        // SAFETY: a context lives as long as the configuration, and is that of a block of HTTP.
        outer.is_some() && unsafe { ServerConf::of_context(self.ctx.as_ref()) } == outer
    }

    /// Whether a client may come of it. What the http block says is for the server blocks in it; it is enough that one
    /// of them has a client.
    fn is_met(&self, outer: Option<NonNull<ServerConf>>, clusters: &Clusters) -> bool {
        if self.is_of(outer) {
            return !clusters.list.is_empty();
        }
        // SAFETY: as above.
        let Some(conf) = (unsafe { ServerConf::of_context(self.ctx.as_ref()) }) else { return false };
        // SAFETY: so does what `create_srv_conf` made for it.
        unsafe { conf.as_ref() }.cluster.is_some()
    }
}

/// Whether everything that needs a client has one; if not, the log says which line does.
pub fn check(clusters: &Clusters, outer: Option<NonNull<ServerConf>>, log: Log<'_>) -> bool {
    let missing = |directive: &str, place: &Place| {
        log.emerg(format_args!("no \"memcache_server\" is defined for \"{directive}\" in {place}"));
        false
    };
    if clusters.blocks_without > 0 && !clusters.list.is_empty() {
        // They may have turned it off again: that is not known here.
        for Want { directive, place, .. } in clusters.wanted.iter().filter(|want| want.is_of(outer)) {
            let blocks = clusters.blocks_without;
            log.warn(format_args!(
                "no \"memcache_server\" is defined for \"{directive}\" in {blocks} of the server blocks that inherit it in {place}"
            ));
        }
    }
    match clusters.wanted.iter().find(|want| !want.is_met(outer, clusters)) {
        Some(want) => missing(&want.directive, &want.place),
        None => match &clusters.status {
            Some(place) if clusters.list.is_empty() => missing("memcache_status", place),
            _ => true,
        },
    }
}

/// Says what is allowed in the settings of a client, but hardly what was meant.
pub fn doubt(settings: &Settings, config: &Config, log: Log<'_>) {
    for (text, place) in settings.doubts(config) {
        log.warn(format_args!("{text} in {place}"));
    }
}
