//! A server that says what the script wants.

mod endpoint;
mod lines;
mod text;

use std::collections::VecDeque;

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use memcache_engine::{Answer, Config, Error, Item, Lease, Metadata, Outcome, Protocol, MAX_LINE};

use self::lines::{echo, fill, has_token, line, mark, metadata, refused, with_value, SOME};
use crate::request::Request;
use crate::script::Script;

/// What the client has to make of some bytes.
#[derive(Clone, Debug)]
pub enum Says {
    /// The answer of the operation with this key; an empty one: of the first that asks the server itself.
    Answer(Vec<u8>, Answer),
    /// The same, and the connection ends.
    Last(Vec<u8>, Answer),
    /// They do not belong there: the connection ends, and the operation with this key, if any, is told why.
    Nonsense(Vec<u8>),
    /// If somebody waits for the operation with this key, they do not belong there; if not, nobody can tell.
    Stolen(Vec<u8>),
    /// Nothing of interest.
    Nothing,
    /// Hard to say, and so is everything that comes behind them.
    Anything,
}

/// A server's end of a connection.
#[derive(Default)]
pub struct Peer {
    max_value: usize,
    /// It speaks the text protocol, and not meta.
    in_text: bool,
    input: Vec<u8>,
    awaited: VecDeque<Request>,
    /// Answers of the greeting that were given.
    greeted: usize,
    /// A request was left without a reply.
    skipped: bool,
    /// A meta request was refused, and no token has been said since.
    doubtful: bool,
    /// The last reply that was right.
    last: Vec<u8>,
}

/// The answers to a greeting.
const GREETING: [&[u8]; 5] = [b"VERSION 1.6.18\r\n", b"MN\r\n", b"EN\r\n", b"HD O2\r\n", b"MN\r\n"];

/// So many of them come before what is tried.
const GREETED: usize = 2;

/// Sizes that are no sizes, or larger than any item.
const NO_SIZES: [&str; 10] = [
    "1073741825",
    "2147483648",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999",
    "-1",
    "0x10",
    "",
    "1_0",
];
/// More than this the lines of statistics may not have.
const MAX_STATS: usize = 64 * 1024;

impl Peer {
    /// A server whose client has this configuration.
    pub fn new(config: &Config) -> Self {
        Peer { max_value: config.max_value, in_text: config.protocol == Protocol::Text, ..Peer::default() }
    }

    /// The client has written this.
    pub fn read(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        while let Some(request) = Request::take(&mut self.input) {
            self.awaited.push_back(request);
        }
    }

    /// Requests that wait for their reply.
    pub fn awaited(&self) -> usize {
        self.awaited.len()
    }

    /// Whether what comes next is asked to try the server.
    pub fn is_tried(&self) -> bool {
        if self.in_text {
            return self.awaited.front().is_some_and(|head| head.greets() || head.word == b"stats");
        }
        (GREETED..GREETING.len()).contains(&self.greeted)
            && self.awaited.front().is_some_and(|head| self.greeted > GREETED || head.tries())
    }

    /// Says what comes next in the script, and what it means.
    ///
    /// | letter | what is said to the first request that waits |
    /// |---|---|
    /// | `r` | a right answer; other letters are taken for it |
    /// | `m` `b` | there is no such item; the same without a token |
    /// | `n` `x` `h` | `NS`, `EX`, `HD` |
    /// | `w` | an item with marks: somebody makes it anew |
    /// | `z` `y` | an item that is larger than the client takes; only the line of one that has a GiB |
    /// | `S` `C` `c` `E` | errors |
    /// | `t` `k` `l` `e` | a wrong token, a wrong key, a wrong length, a wrong end of a value |
    /// | `a` | a right answer that names a key as it is which was sent encoded |
    /// | `Z` `o` | a size that is none, a line that is about as long as it may be |
    /// | `q` `f` | a right answer that is cut off, one with flags that nobody asked for |
    /// | `p` `d` | nothing: it gets no reply; the last reply again |
    /// | `"` | these bytes, up to a quotation mark |
    pub fn say(&mut self, script: &mut Script<'_>) -> (Vec<u8>, Says) {
        let letter = script.letter();
        match letter {
            b'p' => {
                self.skipped |= self.awaited.pop_front().is_some();
                return (Vec::new(), Says::Nothing);
            }
            b'"' => return (script.quoted().to_vec(), Says::Anything),
            b'd' => return (self.last.clone(), self.again()),
            b'Z' if self.in_text => {
                let line = format!("VALUE k1 0 {} 1\r\n", script.pick(&NO_SIZES));
                return (line.into_bytes(), Says::Anything);
            }
            b'Z' => {
                let line = format!("VA {} f0 c1 O1\r\n", script.pick(&NO_SIZES));
                return (line.into_bytes(), Says::Nonsense(self.head_key()));
            }
            _ => {}
        }
        let n = script.number();
        if self.in_text {
            return self.say_text(letter, n);
        }
        let Some(head) = self.awaited.front().cloned() else { return self.unasked(letter, n) };
        if self.greeted == GREETED && !head.tries() {
            // The client does not try the server: an earlier connection has.
            self.greeted = GREETING.len();
        }
        let (bytes, says) = match GREETING.get(self.greeted) {
            None => self.reply(letter, n, &head),
            // One line is the answer to each part of the greeting, and no other.
            Some(answer) if letter == b'r' => (answer.to_vec(), Says::Nothing),
            Some(_) => (b"ERROR Too many open connections\r\n".to_vec(), Says::Nonsense(Vec::new())),
        };
        self.greeted += 1;
        if matches!(says, Says::Answer(..) | Says::Last(..) | Says::Stolen(_) | Says::Nothing) {
            self.awaited.pop_front();
            self.last.clone_from(&bytes);
        }
        let says = if self.skipped { out_of_step(&bytes, says) } else { says };
        let refused = b"cCE".contains(&letter) && head.is_meta() && !(letter == b'c' && head.word == b"ma");
        let says = if refused && self.doubtful { Says::Anything } else { says };
        self.doubtful = refused || self.doubtful && !has_token(&bytes);
        (bytes, says)
    }

    /// A reply to nobody, or to somebody whose request is only half there.
    fn unasked(&mut self, letter: u8, n: usize) -> (Vec<u8>, Says) {
        let (bytes, _) = self.reply(letter, n, &Request { word: b"md".into(), key: Vec::new(), flags: Vec::new() });
        let line = bytes.ends_with(b"\n") && !bytes.starts_with(b"SERVER") && !bytes.starts_with(b"CLIENT");
        let says = match &bytes[..] {
            b"" => Says::Nothing,
            // An error may be early, and a line is looked at when it is complete.
            _ if self.skipped || !self.input.is_empty() && (!line || bytes == b"ERROR\r\n") => Says::Anything,
            _ => Says::Nonsense(Vec::new()),
        };
        (bytes, says)
    }

    fn head_key(&self) -> Vec<u8> {
        self.awaited.front().map(|head| head.key.clone()).unwrap_or_default()
    }

    /// The last reply once more.
    fn again(&self) -> Says {
        match &self.last[..] {
            b"" => Says::Nothing,
            last if self.in_text || !has_token(last) => Says::Anything,
            _ if self.skipped => Says::Nonsense(Vec::new()),
            _ => Says::Nonsense(self.head_key()),
        }
    }

    fn reply(&self, letter: u8, n: usize, head: &Request) -> (Vec<u8>, Says) {
        let key = || head.key.clone();
        let nonsense = || Says::Nonsense(key());
        if let Some(said) = Some(head).filter(|head| head.discovers()).and_then(|head| endpoint::say(letter, n, head)) {
            return said;
        }
        match letter {
            b'm' if head.word == b"mg" => line(head, "EN", n),
            b'm' => line(head, "NF", n),
            b'n' => line(head, "NS", n),
            b'x' => line(head, "EX", n),
            b'h' => line(head, "HD", n),
            b'b' if head.word == b"mg" && !head.leases() => {
                (b"EN\r\n".to_vec(), Says::Answer(key(), Ok(Outcome::Miss)))
            }
            b'b' => (b"EN\r\n".to_vec(), nonsense()),
            b't' => match head.token() {
                Some(token) => (self.right(&head.with_token(token + 1 + n as u64), n).0, nonsense()),
                None => (b"HD O1\r\n".to_vec(), nonsense()),
            },
            b'k' if head.reads() => {
                let other = Request { key: [&head.key[..], b"x"].concat(), ..head.clone() };
                // A key that is sent encoded is kept, as its reply may name it as it is, and so is compared.
                let encoded = head.flag(b'b').is_some();
                (self.item(&other, n, 0).0, if encoded { nonsense() } else { Says::Stolen(key()) })
            }
            b'a' if head.reads() && head.flag(b'b').is_some() => {
                let raw = STANDARD.decode(&head.key).expect("an encoded key");
                let flags = head.flags.iter().filter(|flag| flag[0] != b'b').cloned().collect();
                match self.item(&Request { key: raw, flags, ..head.clone() }, n, 0) {
                    (bytes, Says::Answer(_, answer)) => (bytes, Says::Answer(key(), answer)),
                    other => other,
                }
            }
            b'l' if head.reads() => {
                let short = n % 2 == 1 && self.max_value > 0;
                (self.item(head, 4, n).0, if short { nonsense() } else { Says::Anything })
            }
            b'e' if head.reads() => {
                let (mut bytes, _) = self.item(head, n, 0);
                bytes.truncate(bytes.len() - 2);
                bytes.extend([&b"\n\n"[..], b"\r\r", b"\rx", b"xx", b"\n\r", b"\0\n"][n % 6]);
                (bytes, nonsense())
            }
            b'w' if head.word == b"mg" => self.marked(head, n),
            b'z' if head.reads() => {
                let size = self.max_value + [1, 2, 100, 4097, 20_000, 70_000][n % 6];
                let too_large = Error::TooLarge { size, limit: self.max_value };
                (with_value(head, &fill(&head.key, size), 0, ""), Says::Answer(key(), Err(too_large)))
            }
            b'y' => (echo(head, &format!("VA {}", 1 << 30), Some((0, 0))), Says::Anything),
            b'S' => (b"SERVER_ERROR sorry\r\n".to_vec(), Says::Answer(key(), Err(Error::Server("sorry".into())))),
            b'c' => {
                let said = "cannot increment or decrement non-numeric value";
                (format!("CLIENT_ERROR {said}\r\n").into_bytes(), refused(head, said))
            }
            b'C' => (b"CLIENT_ERROR bad\r\n".to_vec(), refused(head, "bad")),
            b'E' => (b"ERROR\r\n".to_vec(), refused(head, "")),
            b'o' => {
                let len = MAX_LINE - 2 + n / 2 % 6;
                let said = "x".repeat(len - "SERVER_ERROR ".len());
                let end = if n % 2 == 1 { "" } else { "\r\n" };
                let bytes = format!("SERVER_ERROR {said}{end}").into_bytes();
                let says = match n % 2 {
                    0 if len <= MAX_LINE => Says::Answer(key(), Err(Error::Server(said.into()))),
                    1 if len <= MAX_LINE + 1 => Says::Anything,
                    _ => nonsense(),
                };
                (bytes, says)
            }
            b'q' => {
                let (mut bytes, _) = self.right(head, n);
                bytes.truncate(bytes.len().saturating_sub(1 + n));
                (bytes, Says::Anything)
            }
            b'f' => {
                let (bytes, _) = line(head, "HD", n);
                let more = [" W", " Z", " X", " s5", " t-1", " h1", " l0", " fx", " c", " O"][n % 10];
                ([&bytes[..bytes.len() - 2], more.as_bytes(), b"\r\n"].concat(), Says::Anything)
            }
            _ => self.right(head, n),
        }
    }

    /// What a server says if all is well.
    fn right(&self, head: &Request, n: usize) -> (Vec<u8>, Says) {
        let answer = |answer| Says::Answer(head.key.clone(), answer);
        match &head.word[..] {
            b"mg" if head.reads() => self.item(head, n, 0),
            b"ma" => {
                let number = [0, 1, 42, u64::MAX][n % 4];
                let text = number.to_string();
                let too_large = Err(Error::TooLarge { size: text.len(), limit: self.max_value });
                let outcome = if text.len() > self.max_value { too_large } else { Ok(Outcome::Number(number)) };
                (with_value(head, text.as_bytes(), 0, ""), answer(outcome))
            }
            b"config" | b"get" => endpoint::say(b'r', n, head).expect("it is answered"),
            b"mn" => (b"MN\r\n".to_vec(), answer(Ok(Outcome::Done))),
            b"version" => {
                let text = format!("1.6.{n}");
                (format!("VERSION {text}\r\n").into_bytes(), answer(Ok(Outcome::Text(text.into()))))
            }
            b"flush_all" => (b"OK\r\n".to_vec(), answer(Ok(Outcome::Done))),
            b"stats" => {
                let value = "v".repeat([1, 1000][n % 2]);
                let (mut said, mut text) = (String::new(), String::new());
                for line in (0..n).map(|i| format!("s{i} {value}")) {
                    said += &format!("STAT {line}\r\n");
                    text += &format!("{line}\n");
                }
                let says = if text.len() > MAX_STATS {
                    Says::Nonsense(Vec::new())
                } else {
                    answer(Ok(Outcome::Text(text.into())))
                };
                ((said + "END\r\n").into_bytes(), says)
            }
            _ => line(head, "HD", n),
        }
    }

    /// An item that is not too large; its length is announced `wrong`: shorter if odd, or longer.
    fn item(&self, head: &Request, n: usize, wrong: usize) -> (Vec<u8>, Says) {
        let sizes = [0, 1, 2, 10, 100, 4097, 16_384, 20_000, 70_000, self.max_value];
        let value = fill(&head.key, sizes[n % sizes.len()].min(self.max_value));
        let announced = if wrong % 2 == 1 { value.len().saturating_sub(wrong) } else { value.len() + wrong };
        let line = echo(head, &format!("VA {announced}"), Some((value.len(), n)));
        let bytes = [&line[..], &value, b"\r\n"].concat();
        let item = Item { value: value.into(), flags: n as u32, cas: n as u64 + 1 };
        let outcome = if head.leases() { Outcome::Lease(Lease::Hit(item)) } else { Outcome::Item(item) };
        (bytes, Says::Answer(head.key.clone(), Ok(outcome)))
    }

    /// An item, or the place for one, of which it is said who makes it anew.
    fn marked(&self, head: &Request, n: usize) -> (Vec<u8>, Says) {
        let marks = ["", " W", " Z", " W X", " X W", " Z X", " X"][n % 7];
        let [won, leased, stale] = ["W", "Z", "X"].map(|mark| marks.contains(mark));
        let size = [0, SOME.min(self.max_value)][n / 7 % 2];
        let vacant = size == 0 && (won || leased);
        let answer = |outcome| Says::Answer(head.key.clone(), Ok(outcome));
        if !head.reads() {
            let bytes = mark(echo(head, "HD", Some((size, n))), marks);
            return (
                bytes,
                answer(match head.inspects() {
                    _ if vacant => Outcome::Miss,
                    true => Outcome::Metadata(Metadata { stale, leased: won || leased, ..metadata(size, n) }),
                    false if stale => Outcome::Miss,
                    false => Outcome::Done,
                }),
            );
        }
        let value = fill(&head.key, size);
        let bytes = with_value(head, &value, n, marks);
        let item = Item { value: value.into(), flags: n as u32, cas: n as u64 + 1 };
        let cas = item.cas;
        let old = (!vacant).then_some(item);
        (
            bytes,
            answer(match old {
                None if !head.leases() => Outcome::Miss,
                Some(_) if !head.leases() && stale => Outcome::Miss,
                Some(item) if !head.leases() => Outcome::Item(item),
                old if won => Outcome::Lease(Lease::Won { cas, old, stale }),
                Some(item) if !stale => Outcome::Lease(Lease::Hit(item)),
                old => Outcome::Lease(Lease::Lost { cas, old }),
            }),
        )
    }
}

/// A reply to another request than the first one that waits.
fn out_of_step(bytes: &[u8], says: Says) -> Says {
    match says {
        Says::Answer(..) | Says::Last(..) | Says::Stolen(_) if has_token(bytes) => Says::Nonsense(Vec::new()),
        Says::Nonsense(_) if bytes != b"EN\r\n" => Says::Nonsense(Vec::new()),
        _ => Says::Anything,
    }
}
