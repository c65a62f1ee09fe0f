//! The arguments of a request.

use ngx::http::Request;

/// `name=value&name=value`, without escapes.
pub struct Args(String);

impl Args {
    pub fn of(request: &Request) -> Self {
        Args(request.as_ref().args.to_string())
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.split('&').filter_map(|arg| arg.split_once('=')).find(|(found, _)| *found == name).map(|(_, text)| text)
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    pub fn key(&self) -> String {
        self.text("key").unwrap_or("k").to_owned()
    }
}
