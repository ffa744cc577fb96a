//! Answers of S3 to those who read: an object, and a list.

use std::collections::HashMap;
use std::fmt::Write as _;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

const TIME: &str = "2024-01-01T00:00:00.000Z";

/// An object, or the part of it that is asked for.
pub(crate) fn get(bytes: Bytes, headers: &HeaderMap) -> Response {
    let known = [(header::ETAG, "\"e\""), (header::LAST_MODIFIED, "Mon, 01 Jan 2024 00:00:00 GMT")];
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let Some((start, last)) = range else { return (known, bytes).into_response() };
    let start: usize = start.parse().expect("a start");
    let end = last.parse::<usize>().map_or(bytes.len(), |last| bytes.len().min(last + 1));
    let told = format!("bytes {start}-{}/{}", end - 1, bytes.len());
    let part = bytes.slice(start..end);
    (StatusCode::PARTIAL_CONTENT, known, [(header::CONTENT_RANGE, told)], part).into_response()
}

/// Objects by their names, with their sizes, as a list of those that are asked for.
pub(crate) fn list(
    objects: impl Iterator<Item = (String, usize)>,
    query: &HashMap<String, String>,
) -> Response {
    let prefix = query.get("prefix").map_or("", String::as_str);
    let (mut xml, mut folders) = (String::from("<ListBucketResult>"), Vec::new());
    for (key, size) in objects.filter(|(key, _)| key.starts_with(prefix)) {
        let folder =
            key[prefix.len()..].split_once('/').filter(|_| query.contains_key("delimiter"));
        match folder {
            Some((folder, _)) => folders.push(format!("{prefix}{folder}/")),
            None => write!(
                xml,
                "<Contents><Key>{key}</Key><Size>{size}</Size><LastModified>{TIME}</LastModified>\
                 <ETag>e</ETag></Contents>"
            )
            .expect("text"),
        }
    }
    folders.dedup();
    for folder in folders {
        write!(xml, "<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>").expect("text");
    }
    (xml + "</ListBucketResult>").into_response()
}
