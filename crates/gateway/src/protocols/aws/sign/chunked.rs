//! `aws-chunked` bodies: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>.
//!
//! Each chunk is `size;chunk-signature=…`, CRLF, the data, CRLF; one of size 0 ends it, and trailers may follow. The signatures are
//! made with a key that is none, and are left behind; the length must be the one that was said.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The most chunks of one body.
const CHUNKS_MAX: usize = 1_000_000;
/// The longest line between chunks.
const LINE_BYTES_MAX: usize = 4_096;
/// The most trailers.
const TRAILERS_MAX: usize = 16;

/// Why a body's data cannot be taken out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotChunked {
    /// It is not in the shape of `aws-chunked`.
    #[error("the body is not in the shape of `aws-chunked`")]
    Malformed,
    /// It is longer or shorter than `X-Amz-Decoded-Content-Length`.
    #[error("the body has another length than `X-Amz-Decoded-Content-Length`")]
    Length,
    /// It is in chunks of a kind that is not read.
    #[error(
        "`X-Amz-Content-Sha256` asks for a kind of streaming that is not supported: use the payload's hash, or UNSIGNED-PAYLOAD"
    )]
    Kind,
}

/// The data of a body in `aws-chunked`, and headers that say nothing of chunks any more, checksums from trailers among them; nothing
/// where it is in no chunks.
///
/// # Errors
/// [`NotChunked`].
pub fn unchunked(headers: &HeaderMap, body: &[u8]) -> Result<Option<(HeaderMap, Vec<u8>)>, NotChunked> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let encodings: Vec<&str> =
        text("content-encoding").split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    match text("x-amz-content-sha256") {
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
        | "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
        | "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => {}
        kind if kind.starts_with("STREAMING-") => return Err(NotChunked::Kind),
        _ if encodings.contains(&"aws-chunked") => return Err(NotChunked::Kind),
        _ => return Ok(None),
    }
    let mut reader = Reader { rest: body };
    let data = reader.data()?;
    let said = text("x-amz-decoded-content-length").parse() == Ok(data.len());
    let mut headers = headers.clone();
    reader.trailers(&mut headers)?;
    if !said {
        return Err(NotChunked::Length);
    }
    let others: Vec<&str> = encodings.into_iter().filter(|name| *name != "aws-chunked").collect();
    headers.remove("content-encoding");
    if let Ok(value) = HeaderValue::from_str(&others.join(","))
        && !others.is_empty()
    {
        headers.insert("content-encoding", value);
    }
    for name in ["x-amz-decoded-content-length", "x-amz-trailer", "content-length", "x-amz-content-sha256"] {
        headers.remove(name);
    }
    Ok(Some((headers, data)))
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn line(&mut self) -> Result<&'a str, NotChunked> {
        let end =
            self.rest.windows(2).take(LINE_BYTES_MAX).position(|pair| pair == b"\r\n").ok_or(NotChunked::Malformed)?;
        let (line, behind) = self.rest.split_at_checked(end).ok_or(NotChunked::Malformed)?;
        self.rest = behind.get(2..).unwrap_or_default();
        std::str::from_utf8(line).map_err(|_| NotChunked::Malformed)
    }

    fn data(&mut self) -> Result<Vec<u8>, NotChunked> {
        let mut data = Vec::new();
        for _ in 0..CHUNKS_MAX {
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default();
            let plain = !digits.is_empty() && digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let size = usize::from_str_radix(digits, 16).ok().filter(|_| plain).ok_or(NotChunked::Malformed)?;
            if size == 0 {
                return Ok(data);
            }
            let (chunk, behind) = self.rest.split_at_checked(size).ok_or(NotChunked::Malformed)?;
            data.extend_from_slice(chunk);
            self.rest = behind.strip_prefix(b"\r\n").ok_or(NotChunked::Malformed)?;
        }
        Err(NotChunked::Malformed)
    }

    /// Checksums that follow the data become headers; a signature of trailers is left behind.
    fn trailers(&mut self, headers: &mut HeaderMap) -> Result<(), NotChunked> {
        for _ in 0..TRAILERS_MAX {
            if self.rest.is_empty() {
                return Ok(());
            }
            let line = self.line()?;
            if line.is_empty() {
                return if self.rest.is_empty() { Ok(()) } else { Err(NotChunked::Malformed) };
            }
            let (name, value) = line.split_once(':').ok_or(NotChunked::Malformed)?;
            if name.trim() == "x-amz-trailer-signature" {
                continue;
            }
            // nothing else may come behind the data: a header from there would not have been described
            let name = name.trim().strip_prefix("x-amz-checksum-").ok_or(NotChunked::Malformed)?;
            let name = HeaderName::from_bytes(format!("x-amz-checksum-{name}").as_bytes())
                .map_err(|_| NotChunked::Malformed)?;
            headers.insert(name, HeaderValue::from_str(value.trim()).map_err(|_| NotChunked::Malformed)?);
        }
        Err(NotChunked::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, length: &str, body: &str, expected: Result<Option<&str>, NotChunked>) {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-content-sha256", kind.parse().expect("a value"));
        headers.insert("x-amz-decoded-content-length", length.parse().expect("a value"));
        headers.insert("content-encoding", "aws-chunked, gzip".parse().expect("a value"));
        let found = unchunked(&headers, body.as_bytes());
        let text = found.map(|found| {
            found.map(|(headers, data)| {
                assert_eq!(headers.get("content-encoding").and_then(|value| value.to_str().ok()), Some("gzip"));
                let sum = headers.get("x-amz-checksum-crc32").and_then(|value| value.to_str().ok()).unwrap_or("-");
                format!("{} {sum}", String::from_utf8_lossy(&data))
            })
        });
        assert_eq!(text, expected.map(|text| text.map(str::to_owned)), "{body:?}");
    }

    #[test]
    fn data_comes_out_of_its_chunks() {
        let signed = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
        let trailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
        check(
            signed,
            "5",
            "3;chunk-signature=a\r\nabc\r\n2;chunk-signature=b\r\nde\r\n0;chunk-signature=c\r\n\r\n",
            Ok(Some("abcde -")),
        );
        check(trailer, "3", "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n", Ok(Some("abc NSRBwg==")));
        check(signed, "6", "3\r\nabc\r\n0\r\n\r\n", Err(NotChunked::Length));
        for body in [
            "",
            "3\r\nab",
            "3\r\nabcd\r\n0\r\n\r\n",
            "x\r\n",
            "0\r\na:b\r\n\r\n",
            "0\r\n\r\nmore",
            "+3\r\nabc\r\n0\r\n\r\n",
        ] {
            check(signed, "3", body, Err(NotChunked::Malformed));
        }
        check("STREAMING-AWS4-HMAC-SHA256-EVENTS", "0", "", Err(NotChunked::Kind));
        check("UNSIGNED-PAYLOAD", "0", "", Err(NotChunked::Kind));
    }
}
