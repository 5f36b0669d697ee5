//! Whether a client takes gzip: RFC 9110, section 12.5.3.

/// Whether the client that sent these `Accept-Encoding` values rather has gzip
/// than the bytes as they are.
pub(super) fn takes_gzip<'a>(values: impl Iterator<Item = &'a [u8]>) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    for element in values.flat_map(|value| value.split(|&byte| byte == b',')) {
        let mut parts = element.split(|&byte| byte == b';');
        let coding = parts.next().unwrap_or_default().trim_ascii();
        // An element that cannot be read asks for nothing.
        let Some(weight) = weight(parts) else { continue };
        let place = match coding {
            b"*" => &mut any,
            coding if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") => &mut gzip,
            coding if coding.eq_ignore_ascii_case(b"identity") => &mut identity,
            _ => continue,
        };
        *place = (*place).max(Some(weight));
    }
    let gzip = gzip.or(any).unwrap_or(0);
    // Without a word on it `identity` is acceptable, but less than anything
    // that is asked for.
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

/// The weight in thousandths; 1000 without one, `None` if it is malformed.
fn weight<'a>(parameters: impl Iterator<Item = &'a [u8]>) -> Option<u16> {
    let mut weight = 1000;
    for parameter in parameters {
        let at = parameter.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (parameter[..at].trim_ascii(), parameter[at + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"q") {
            weight = quality(value)?;
        }
    }
    Some(weight)
}

/// `qvalue`: 0 to 1 with up to three digits after the point.
fn quality(text: &[u8]) -> Option<u16> {
    let (whole, digits) = match text {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return None,
    };
    let mut value = u16::from(whole - b'0') * 1000;
    for (digit, scale) in digits.iter().zip([100, 10, 1]) {
        value += digit.is_ascii_digit().then(|| u16::from(digit - b'0'))? * scale;
    }
    (value <= 1000).then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn takes(values: &[&str]) -> bool {
        takes_gzip(values.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn as_clients_say_it() {
        for values in [
            &["gzip"][..],
            &["gzip, deflate, br"],
            &["br;q=1.0, gzip;q=0.8, *;q=0.1"],
            &["deflate", "GZIP"],
            &["x-gzip"],
            &["*"],
            &["*;q=0.5"],
            &["identity;q=0.5, gzip"],
            &["gzip;q=0.001"],
            &["gzip ; q=1.000"],
            &["gzip;q=0.5, identity;q=0.5"],
            &["identity;q=0, *"],
        ] {
            assert!(takes(values), "{values:?}");
        }
        for values in [
            &[][..],
            &[""],
            &["deflate, br"],
            &["gzip;q=0"],
            &["gzip;q=0.000, *"],
            &["*;q=0"],
            &["identity, gzip;q=0.5"],
            &["gzip;q=2"],
            &["gzip;q=1.001"],
            &["gzip;q=0.1234"],
            &["gzip;q=x"],
            &["gzip;q"],
            &["gzipped"],
        ] {
            assert!(!takes(values), "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer(value in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = takes_gzip(std::iter::once(&value[..]));
        }

        #[test]
        fn order_and_blanks_do_not_count(
            weights in proptest::collection::vec((0_usize..5, 0_u16..=1000), 0..6),
            seed in any::<usize>(),
        ) {
            let codings = ["gzip", "*", "identity", "br", "deflate"];
            let mut elements: Vec<String> = weights
                .iter()
                .map(|(coding, weight)| format!("{};q={}.{:03}", codings[*coding], weight / 1000, weight % 1000))
                .collect();
            let one = takes(&[&elements.join(",")]);
            if !elements.is_empty() {
                let by = seed % elements.len();
                elements.rotate_left(by);
            }
            let spread: Vec<String> = elements.iter().map(|element| format!(" {} ", element.replace(';', " ; "))).collect();
            let values: Vec<&str> = spread.iter().map(String::as_str).collect();
            prop_assert_eq!(takes(&values), one);
        }
    }
}
