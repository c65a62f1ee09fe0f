//! The table of connections.

use slotmap::SlotMap;

use crate::connection::Connection;
use crate::id::ConnId;

/// The connections of a client, to all its servers.
pub(crate) type Connections = SlotMap<ConnId, Connection>;
