//! What a client hears whose hello was no good.

use std::io::{self, Write};

use rustls::server::AcceptedAlert;

/// As nginx, Go and others say it: a person who forgot the `s` of `https`
/// sees what is wrong. Nothing of the request is in it.
const CLEAR_TEXT: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
Content-Type: text/plain\r\n\
Content-Length: 68\r\n\
Connection: close\r\n\
\r\n\
This port speaks TLS, and the request came in clear text: use https\n";

/// An answer on its way.
pub(super) enum Refusal {
    /// To who speaks TLS, more or less.
    Alert(AcceptedAlert),
    /// To who speaks HTTP without it: what is left of the answer.
    ClearText(&'static [u8]),
}

impl Refusal {
    pub fn clear_text() -> Refusal {
        Refusal::ClearText(CLEAR_TEXT)
    }

    /// Sends as much as one write of `to` takes; 0: that was all.
    pub fn send(&mut self, to: &mut dyn Write) -> io::Result<usize> {
        match self {
            Refusal::Alert(alert) => alert.write(to),
            Refusal::ClearText([]) => Ok(0),
            Refusal::ClearText(left) => {
                let sent = to.write(left)?;
                *left = left.get(sent..).unwrap_or_default();
                Ok(sent)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(CLEAR_TEXT).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
    }

    #[test]
    fn it_goes_out_in_pieces_too() {
        let (mut refusal, mut sent) = (Refusal::clear_text(), Vec::new());
        loop {
            let mut room = [0; 7];
            let count = refusal.send(&mut &mut room[..]).unwrap();
            if count == 0 {
                break;
            }
            sent.extend_from_slice(&room[..count]);
        }
        assert_eq!(sent, CLEAR_TEXT);
    }
}
