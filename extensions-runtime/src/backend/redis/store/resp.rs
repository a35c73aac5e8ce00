//! Answers as they come from the server (RESP 2), put together from what is read at a time.

use std::io::{self, Read};

use redis::{ErrorKind, RedisResult, Value};

/// How much is read at a time.
const CHUNK: usize = 1 << 16;

/// Answers nest no deeper than this.
const DEPTH: usize = 16;

/// What was read, and how far the first answer in it is there.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    chunk: Vec<u8>,
    /// Where the first answer begins.
    start: usize,
    /// Up to where its values were seen to be whole, and how many are still to come.
    seen: usize,
    missing: usize,
}

impl Inbox {
    /// Reads once; whether there may be more at once, and an error where that is the end.
    pub(super) fn read(&mut self, mut from: impl Read) -> io::Result<bool> {
        self.bytes.drain(..self.start);
        self.seen -= self.start;
        self.start = 0;
        if self.chunk.is_empty() {
            self.chunk = vec![0; CHUNK];
        }
        match from.read(&mut self.chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.bytes.extend_from_slice(&self.chunk[..read]);
                Ok(read == CHUNK)
            }
        }
    }

    /// The next answer, once all of it is there.
    pub(super) fn next(&mut self) -> RedisResult<Option<Value>> {
        if self.start == self.seen {
            self.missing = 1;
        }
        while self.missing > 0 {
            let mut rest = &self.bytes[self.seen..];
            let before = rest.len();
            let Some((kind, line)) = line(&mut rest) else { return Ok(None) };
            self.missing -= 1;
            match kind {
                b'$' => {
                    if let Ok(len) = usize::try_from(number(line)?) {
                        let Some(after) = rest.get(len + 2..) else {
                            self.missing += 1;
                            return Ok(None);
                        };
                        rest = after;
                    }
                }
                b'*' => {
                    self.missing = self.missing.saturating_add(usize::try_from(number(line)?).unwrap_or(0))
                }
                _ => {}
            }
            self.seen += before - rest.len();
        }
        let mut answer = &self.bytes[self.start..self.seen];
        self.start = self.seen;
        value(&mut answer, DEPTH).map(Some)
    }
}

/// A line, without what it ends with, and the byte before it.
fn line<'a>(bytes: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = bytes.split_at(end + 1);
    *bytes = rest;
    let (kind, line) = line.split_first()?;
    Some((*kind, line.strip_suffix(b"\r\n").unwrap_or_default()))
}

fn unreadable() -> redis::RedisError {
    (ErrorKind::Parse, "the server's answer cannot be read").into()
}

fn number(line: &[u8]) -> RedisResult<i64> {
    std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()).ok_or_else(unreadable)
}

/// A value all of which is there.
fn value(bytes: &mut &[u8], depth: usize) -> RedisResult<Value> {
    let whole = *bytes;
    let (kind, line) = line(bytes).ok_or_else(unreadable)?;
    match kind {
        b'+' => Ok(Value::SimpleString(String::from_utf8_lossy(line).into_owned())),
        b':' => number(line).map(Value::Int),
        b'-' => redis::parse_redis_value(&whole[..whole.len() - bytes.len()]),
        b'$' => {
            let Ok(len) = usize::try_from(number(line)?) else { return Ok(Value::Nil) };
            let (text, rest) = bytes.split_at_checked(len + 2).ok_or_else(unreadable)?;
            *bytes = rest;
            Ok(Value::BulkString(text[..len].to_vec()))
        }
        b'*' => {
            let Ok(len) = usize::try_from(number(line)?) else { return Ok(Value::Nil) };
            let depth = depth.checked_sub(1).ok_or_else(unreadable)?;
            (0..len).map(|_| value(bytes, depth)).collect::<RedisResult<_>>().map(Value::Array)
        }
        _ => Err(unreadable()),
    }
}

#[cfg(test)]
mod tests {
    use super::{DEPTH, Inbox};
    use redis::Value;

    const ANSWERS: &[u8] = b"*4\r\n$3\r\na\r\n\r\n:-7\r\n$-1\r\n*2\r\n*0\r\n+OK\r\n$0\r\n\r\n*-1\r\n";

    fn expected() -> [Value; 3] {
        let inner = Value::Array(vec![Value::Array(vec![]), Value::SimpleString("OK".to_owned())]);
        let first = vec![Value::BulkString(b"a\r\n".to_vec()), Value::Int(-7), Value::Nil, inner];
        [Value::Array(first), Value::BulkString(vec![]), Value::Nil]
    }

    #[test]
    fn answers_are_the_same_in_whatever_pieces_they_come() {
        for size in 1..=ANSWERS.len() {
            let (mut inbox, mut found) = (Inbox::default(), Vec::new());
            for piece in ANSWERS.chunks(size) {
                inbox.read(piece).unwrap();
                while let Some(answer) = inbox.next().unwrap() {
                    found.push(answer);
                }
            }
            assert_eq!(found, expected(), "in pieces of {size}");
        }
    }

    #[test]
    fn errors_keep_their_code() {
        let mut inbox = Inbox::default();
        inbox.read(&b"-NOSCRIPT No matching script.\r\n"[..]).unwrap();
        let error = inbox.next().unwrap().unwrap().extract_error().unwrap_err();
        assert_eq!(error.code(), Some("NOSCRIPT"));
    }

    #[test]
    fn what_no_server_says_is_an_error() {
        for said in [b"?x\r\n".to_vec(), b"$x\r\n".to_vec(), b"*1\r\n".repeat(DEPTH + 2), b"\n".to_vec()] {
            let mut inbox = Inbox::default();
            inbox.read(&said[..]).unwrap();
            inbox.read(&b":1\r\n"[..]).unwrap();
            assert!(inbox.next().is_err(), "{said:?}");
        }
    }
}
