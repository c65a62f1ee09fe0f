//! Repeats an operation after the end of its connection, or not: the table in [`error`](super::error).

use super::error::Error;

/// The state of an operation when its connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interrupted {
    /// A byte of it was written.
    pub written: bool,
    /// It changes something at the server.
    pub writes: bool,
    /// It was tried again before.
    pub retried: bool,
    /// Its deadline has passed.
    pub late: bool,
    /// There is a server that it can be sent to.
    pub live: bool,
    pub end: End,
}

/// How the connection ended, for this operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// In any other way.
    Lost,
    /// By a reply that cannot be the one that was due to this operation.
    Protocol,
    /// Because the worker exits.
    Exit,
}

/// The error that the operation ends with; `None`: it is sent again, once.
pub(crate) fn error_for(loss: Interrupted) -> Option<Error> {
    let Interrupted { written, writes, retried, late, live, end } = loss;
    let maybe_applied = written && writes;
    match end {
        End::Exit => return Some(Error::Shutdown { maybe_applied }),
        End::Protocol if written => return Some(Error::Protocol { maybe_applied }),
        End::Protocol | End::Lost => {}
    }
    if maybe_applied {
        return Some(Error::Unknown { maybe_applied });
    }
    if live && !retried && !late {
        return None;
    }
    Some(match (written, live) {
        (true, _) => Error::Unknown { maybe_applied },
        (false, true) => Error::NotSent,
        (false, false) => Error::ServerDown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [bool; 2] = [false, true];

    /// The table of [`error`](super::super::error), row by row; `None` stands for either.
    #[test]
    fn every_cell_of_the_table() {
        type Row = (bool, Option<bool>, Option<bool>, Option<bool>, Option<bool>, Option<Error>);
        let unknown = |maybe_applied| Some(Error::Unknown { maybe_applied });
        let (yes, no) = (Some(true), Some(false));
        // Written, writes, retried, late, live.
        let rows: [Row; 11] = [
            (false, None, no, no, yes, None),
            (false, None, no, no, no, Some(Error::ServerDown)),
            (false, None, yes, None, yes, Some(Error::NotSent)),
            (false, None, no, yes, yes, Some(Error::NotSent)),
            (false, None, yes, None, no, Some(Error::ServerDown)),
            (false, None, no, yes, no, Some(Error::ServerDown)),
            (true, no, no, no, yes, None),
            (true, no, yes, None, None, unknown(false)),
            (true, no, no, yes, None, unknown(false)),
            (true, no, no, no, no, unknown(false)),
            (true, yes, None, None, None, unknown(true)),
        ];
        let mut cells = 0;
        for loss in all(End::Lost) {
            let Interrupted { written, writes, retried, late, live, .. } = loss;
            let is = |cell: Option<bool>, value| cell.is_none_or(|cell| cell == value);
            let fits = |row: &&Row| {
                row.0 == written && is(row.1, writes) && is(row.2, retried) && is(row.3, late) && is(row.4, live)
            };
            let fitting: Vec<&Row> = rows.iter().filter(fits).collect();
            assert_eq!(fitting.len(), 1, "one row for {loss:?}");
            assert_eq!(error_for(loss), fitting[0].5, "{loss:?}");
            cells += 1;
        }
        assert_eq!(cells, 32);
    }

    #[test]
    fn the_two_kinds_that_are_not_like_the_others() {
        for loss in all(End::Exit) {
            let maybe_applied = loss.written && loss.writes;
            assert_eq!(error_for(loss), Some(Error::Shutdown { maybe_applied }), "{loss:?}");
        }
        for loss in all(End::Protocol) {
            let expected = match loss.written {
                true => Some(Error::Protocol { maybe_applied: loss.writes }),
                false => error_for(Interrupted { end: End::Lost, ..loss }),
            };
            assert_eq!(error_for(loss), expected, "{loss:?}");
        }
    }

    fn all(end: End) -> impl Iterator<Item = Interrupted> {
        (0..32).map(move |bits| {
            let bit = |n: usize| BOTH[bits >> n & 1];
            Interrupted { written: bit(0), writes: bit(1), retried: bit(2), late: bit(3), live: bit(4), end }
        })
    }
}
