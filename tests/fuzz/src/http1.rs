//! The HTTP/1 codec. An input begins with where it is cut: a number of cuts,
//! then a byte for the distance of each from the one before.

use sidegate_api::{HeaderCase, Headers, Method, RequestHead, ResponseHead};
use sidegate_protocol::http1::{
    BodyDecoder, BodyLength, BodyStep, Decoded, Expect, Grammar, Limits, RequestDecoder, RequestMeta, ResponseDecoder,
    Upgrade, encode_request_head,
};

/// A message as the next layer sees it: head, body, trailers, and bytes used.
#[derive(Debug, PartialEq, Eq)]
struct Message<H> {
    head: H,
    body: Vec<u8>,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
    consumed: usize,
}

type Fields = Vec<(Vec<u8>, Vec<u8>)>;
type Request = (String, String, String, Fields, RequestMeta);

/// A request is read the same in one piece and in many, its target is in normal
/// form, and what is written of it is read as the same.
pub fn request(input: &[u8]) {
    let (cuts, input) = cuts(input);
    let whole = read_request(input, &[]);
    let pieces = read_request(input, &cuts);
    assert_eq!(whole, pieces, "cut at {cuts:?}");
    let Some(Message { head: (method, target, authority, headers, meta), .. }) = whole else { return };
    if target != "*" {
        let path = target.split('?').next().unwrap_or_default();
        assert!(path.starts_with('/'), "{target:?}");
        assert!(path.split('/').all(|segment| segment != "." && segment != ".."), "{target:?}");
    }
    if authority.is_empty() {
        // HTTP/1.0 without a host: what is written has an empty one, which is
        // refused from clients.
        return;
    }
    let mut head = RequestHead::default();
    head.method = Method::parse(method.as_bytes()).unwrap();
    head.authority.push_str(&authority);
    head.set_target(&target);
    for (name, value) in &headers {
        head.headers.add(name, value).expect("what was read can be added");
    }
    let mut wire = Vec::new();
    encode_request_head(&mut wire, &head, BodyLength::None, Expect::None, Upgrade::None, HeaderCase::Lower);
    let Some(again) = read_request(&wire, &[]) else {
        panic!("what was written cannot be read: {:?}", String::from_utf8_lossy(&wire))
    };
    assert_eq!((&again.head.0, &again.head.1, &again.head.2), (&method, &target, &authority));
    assert!(wire.len() >= again.consumed, "{meta:?}");
}

/// A response is read the same in one piece and in many, from hosts that keep
/// to the grammar and from others.
pub fn response(input: &[u8]) {
    let (cuts, input) = cuts(input);
    for grammar in [Grammar::Strict, Grammar::Padded, Grammar::BareLineFeeds] {
        for method in [Method::Get, Method::Head] {
            let whole = read_response(input, &[], grammar, &method);
            let pieces = read_response(input, &cuts, grammar, &method);
            assert_eq!(whole, pieces, "cut at {cuts:?}, {grammar:?}");
        }
    }
}

fn cuts(input: &[u8]) -> (Vec<usize>, &[u8]) {
    let Some((&count, rest)) = input.split_first() else { return (Vec::new(), input) };
    let count = usize::from(count % 8).min(rest.len());
    let (distances, rest) = rest.split_at(count);
    let mut at = 0;
    let ends = distances.iter().map(|&distance| {
        at += usize::from(distance);
        at
    });
    (ends.collect(), rest)
}

fn limits() -> Limits {
    Limits { max_head_bytes: 8192, max_headers: 32, max_body: Some(4096), ..Limits::default() }
}

fn fields(headers: &Headers) -> Fields {
    headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// `None`: it was refused, or is not whole.
fn read_request(input: &[u8], cuts: &[usize]) -> Option<Message<Request>> {
    let limits = limits();
    let mut ends = ends(input, cuts);
    let mut head = RequestHead::default();
    let mut decoder = RequestDecoder::new();
    let (end, consumed, meta) = loop {
        let end = ends.next()?;
        match decoder.decode(&input[..end], &limits, &mut head).ok()? {
            Decoded::Partial => {}
            Decoded::Complete { consumed, meta } => break (end, consumed, meta),
        }
        assert!(end < input.len() || end <= limits.max_head_bytes + 16, "asks for more than its bound");
    };
    let (body, trailers, consumed) = read_body(input, consumed, end, &mut ends, meta.body, Grammar::Strict)?;
    let line = (head.method.as_str().to_owned(), head.target().to_owned(), head.authority.clone());
    let head = (line.0, line.1, line.2, fields(&head.headers), meta);
    Some(Message { head, body, trailers, consumed })
}

fn read_response(input: &[u8], cuts: &[usize], grammar: Grammar, method: &Method) -> Option<Message<(u16, Fields)>> {
    let limits = limits();
    let mut ends = ends(input, cuts);
    let mut head = ResponseHead::default();
    let mut decoder = ResponseDecoder::new();
    decoder.tolerate(grammar);
    let (end, consumed, meta) = loop {
        let end = ends.next()?;
        match decoder.decode(&input[..end], &limits, method, &mut head).ok()? {
            Decoded::Partial => {}
            Decoded::Complete { consumed, meta } => break (end, consumed, meta),
        }
    };
    assert!((100..=999).contains(&head.status), "{}", head.status);
    let (body, trailers, consumed) = read_body(input, consumed, end, &mut ends, meta.body, grammar)?;
    Some(Message { head: (head.status, fields(&head.headers)), body, trailers, consumed })
}

fn ends<'a>(input: &'a [u8], cuts: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
    cuts.iter().copied().filter(|&cut| cut < input.len()).chain([input.len()])
}

/// Reads a body and gathers its chunks, as a connection does.
fn read_body(
    input: &[u8],
    mut at: usize,
    mut end: usize,
    ends: &mut impl Iterator<Item = usize>,
    length: BodyLength,
    grammar: Grammar,
) -> Option<(Vec<u8>, Fields, usize)> {
    let limits = limits();
    let mut decoder = BodyDecoder::new(length, &limits).with_grammar(grammar);
    let mut trailers = Headers::new();
    let mut body = Vec::new();
    loop {
        match decoder.decode(&input[at..end], &mut trailers).ok()? {
            BodyStep::Data { start, end: data } => {
                assert!(data > start, "empty data");
                let mut piece = input[at..end].to_vec();
                let gathered = decoder.gather(&mut piece, data);
                assert!(gathered.data <= gathered.consumed && gathered.consumed <= piece.len());
                body.extend_from_slice(&piece[start..gathered.data]);
                at += gathered.consumed;
            }
            BodyStep::NeedMore { consumed } => {
                at += consumed;
                match ends.next() {
                    Some(next) => end = next,
                    None => {
                        decoder.at_eof().ok()?;
                        break;
                    }
                }
            }
            BodyStep::End { consumed } => {
                at += consumed;
                break;
            }
        }
    }
    assert!(body.len() as u64 <= limits.max_body.unwrap_or(u64::MAX), "longer than max_body");
    Some((body, fields(&trailers), at))
}
