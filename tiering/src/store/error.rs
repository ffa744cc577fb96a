//! What can go wrong with a call to the store, told apart by what to do about it.
//!
//! The client libraries' own kinds are thin: a 503, a time-out, a 400 and a range past the end are
//! all "generic". [`StoreError::from_client`] looks further, at the HTTP status and the I/O error
//! underneath, so that callers retry what may pass and give up on what never will.

use std::error::Error;
use std::io;
use std::time::Duration;

use object_store::client::{HttpError, HttpErrorKind};
use object_store::path::Path;

use super::fence::NotOwner;
use crate::bundle::BundleError;

/// The client's texts can hold whole stack traces.
const DETAIL_CHARS_MAX: usize = 300;

/// What a call was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreCall {
    /// Reading an object or a range of it.
    Get,
    /// Asking for an object's size.
    Head,
    /// Writing an object.
    Put,
    /// Writing an object that must not exist yet.
    Create,
    /// One step of a multipart upload.
    Multipart,
    /// Deleting objects.
    Delete,
    /// Listing names.
    List,
    /// A question about the bucket itself.
    Bucket,
}

impl StoreCall {
    /// One word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Head => "head",
            Self::Put => "put",
            Self::Create => "create",
            Self::Multipart => "multipart",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Bucket => "bucket",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Get => "read",
            Self::Head => "look up",
            Self::Put => "write",
            Self::Create => "create",
            Self::Multipart => "upload parts of",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Bucket => "ask about",
        }
    }
}

impl std::fmt::Display for StoreCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.verb())
    }
}

/// How bytes from the store are wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongBytes {
    /// Fewer or more bytes than asked for came as a success.
    #[error("{received} bytes where {expected} were asked for")]
    Length {
        /// Bytes asked for.
        expected: u64,
        /// Bytes received.
        received: u64,
    },
    /// A block of the log does not fit its checksum.
    #[error("the bytes at position {position} do not fit their checksum")]
    Checksum {
        /// The first byte of the block.
        position: u64,
    },
    /// The whole object does not fit its checksum.
    #[error("checksum {found:08x} where {expected:08x} was written")]
    Whole {
        /// What was written.
        expected: u32,
        /// What came back.
        found: u32,
    },
    /// Not a right `.index` object.
    #[error("{0}")]
    Bundle(#[from] BundleError),
    /// The object is another one than its name says.
    #[error("it describes another segment than its name")]
    OtherSegment,
}

/// A call to the store that failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The object does not exist. (A missing bucket looks the same; the start-up check tells them
    /// apart.)
    #[error("no object {object}")]
    NotFound {
        /// Its name.
        object: String,
    },
    /// The credentials do not allow it.
    #[error(
        "not allowed to {call} {object}: check the credentials and the bucket's policy: {detail}"
    )]
    Denied {
        /// What was tried.
        call: StoreCall,
        /// On which object.
        object: String,
        /// What the store says.
        detail: String,
    },
    /// Throttled, overloaded or out of reach; the same call may work later.
    #[error("the store is busy or out of reach, could not {call} {object}: {detail}")]
    Unavailable {
        /// What was tried.
        call: StoreCall,
        /// On which object.
        object: String,
        /// What the store or the network says.
        detail: String,
    },
    /// No answer within the deadline. A write may have happened all the same.
    #[error("the store did not {call} {object} within {} s", after.as_secs_f32())]
    TimedOut {
        /// What was tried.
        call: StoreCall,
        /// On which object.
        object: String,
        /// The deadline.
        after: Duration,
    },
    /// The store failed again and again and is left alone for a while: nothing was sent.
    #[error("the store is left alone for now, did not {call} {object}: it fails again and again")]
    LeftAlone {
        /// What was to be done.
        call: StoreCall,
        /// On which object.
        object: String,
        /// When it is tried next at the latest.
        next_try: Duration,
    },
    /// The answer came, but its bytes are wrong.
    #[error("wrong bytes in {object}: {wrong}")]
    WrongBytes {
        /// Its name.
        object: String,
        /// What is wrong.
        wrong: WrongBytes,
    },
    /// The object exists already.
    #[error("{object} exists already")]
    Exists {
        /// Its name.
        object: String,
    },
    /// The store refuses the request itself; trying again does not help.
    #[error("the store refuses to {call} {object}, which will not pass by itself: {detail}")]
    Refused {
        /// What was tried.
        call: StoreCall,
        /// On which object.
        object: String,
        /// What the store says.
        detail: String,
    },
    /// This process does not own the store, or is not sure to: nothing was sent.
    #[error("{object} stays as it is: {reason}")]
    NotOwner {
        /// On which object.
        object: String,
        /// Why not.
        reason: NotOwner,
    },
}

impl StoreError {
    /// Whether the same call may work later with nobody doing anything.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::TimedOut { .. }
                | Self::LeftAlone { .. }
                | Self::WrongBytes { .. }
                | Self::NotOwner { reason: NotOwner::Unsure, .. }
        )
    }

    /// Whether nothing was sent, because the store is left alone.
    #[must_use]
    pub fn is_left_alone(&self) -> bool {
        matches!(self, Self::LeftAlone { .. })
    }

    /// Whether the object is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    pub(crate) fn wrong_bytes(object: &Path, wrong: impl Into<WrongBytes>) -> Self {
        Self::WrongBytes { object: object.to_string(), wrong: wrong.into() }
    }

    /// Sorts an error of the client library.
    pub(crate) fn from_client(call: StoreCall, object: &Path, error: &object_store::Error) -> Self {
        use object_store::Error as Client;
        let (name, detail) = (object.to_string(), detail(error));
        match error {
            Client::NotFound { .. } => Self::NotFound { object: name },
            Client::AlreadyExists { .. } | Client::Precondition { .. } => {
                Self::Exists { object: name }
            }
            Client::PermissionDenied { .. } | Client::Unauthenticated { .. } => {
                Self::Denied { call, object: name, detail }
            }
            Client::NotSupported { .. }
            | Client::NotImplemented { .. }
            | Client::InvalidPath { .. }
            | Client::UnknownConfigurationKey { .. } => {
                Self::Refused { call, object: name, detail }
            }
            other => match verdict(other) {
                Verdict::Denied => Self::Denied { call, object: name, detail },
                Verdict::Refused => Self::Refused { call, object: name, detail },
                Verdict::MayPass => Self::Unavailable { call, object: name, detail },
            },
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    MayPass,
    Refused,
    Denied,
}

/// Walks the causes of a generic error for one that decides. Unknown trouble may pass: giving up
/// on something that would have passed costs more than one more try.
fn verdict(error: &(dyn Error + 'static)) -> Verdict {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return match io.kind() {
                io::ErrorKind::PermissionDenied => Verdict::Denied,
                io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::InvalidFilename
                | io::ErrorKind::NotADirectory => Verdict::Refused,
                _ => Verdict::MayPass,
            };
        }
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return match http.kind() {
                HttpErrorKind::Decode => Verdict::Refused,
                _ => Verdict::MayPass,
            };
        }
        let text = error.to_string();
        // HDFS tells the kind of an error by the name of its Java class alone.
        if text.contains("AccessControlException") {
            return Verdict::Denied;
        }
        if let Some(status) = http_status(&text) {
            return match status {
                401 | 403 => Verdict::Denied,
                408 | 425 | 429 | 500.. => Verdict::MayPass,
                // S3 answers a slow upload with 400 and this code.
                400 if text.contains("RequestTimeout") => Verdict::MayPass,
                400.. => Verdict::Refused,
                _ => Verdict::MayPass,
            };
        }
        cause = error.source();
    }
    Verdict::MayPass
}

/// The client library does not export the type that carries the status; its text does.
fn http_status(text: &str) -> Option<u16> {
    let (_, after) = text.split_once("status code: ")?;
    after.get(..3)?.parse().ok()
}

/// The first line of an error, cut: enough for a log line. Of a document of S3, which begins there, the
/// code and the message are told in its place. The status is told in any case: it stands
/// behind the address, which can be long. What an address carries behind its `?` is left out: with
/// Azure's SAS tokens that is a key.
pub(crate) fn detail(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    let line = match reason_of_s3(&text) {
        Some(reason) => {
            let before = first.split_once('<').map_or(first, |(before, _)| before);
            format!("{}{reason}", without_queries(before))
        }
        None => without_queries(first),
    };
    let line = line.as_str();
    let cut: String = line.chars().take(DETAIL_CHARS_MAX).collect();
    match http_status(line) {
        Some(status) if http_status(&cut).is_none() => format!("status code: {status}: {cut}"),
        _ => cut,
    }
}

/// What an error document of S3 says.
fn reason_of_s3(text: &str) -> Option<String> {
    let (_, document) = text.split_once("<Error>")?;
    let within = |tag: &str| {
        let (_, after) = document.split_once(&format!("<{tag}>"))?;
        after.split_once(&format!("</{tag}>")).map(|(inner, _)| inner.trim())
    };
    let code = within("Code")?;
    Some(within("Message").map_or_else(|| code.to_owned(), |message| format!("{code}: {message}")))
}

fn without_queries(line: &str) -> String {
    let word = |word: &str| match (word.contains("://"), word.split_once('?')) {
        (true, Some((address, _))) => format!("{address}?..."),
        _ => word.to_owned(),
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_address_carries_behind_its_question_mark_is_not_told() {
        let text = "Error performing GET https://a.blob.core.windows.net/c/o?sv=1&sig=SECRET in 2s, \
                    is it there?";
        let told = detail(&text);
        assert!(!told.contains("SECRET"), "{told}");
        assert!(told.contains("windows.net/c/o?... in 2s") && told.ends_with("there?"), "{told}");
    }

    #[test]
    fn of_a_document_of_s3_the_code_and_the_message_are_told() {
        let text = "Error performing PUT http://s3:9000/b/o in 9ms - Server returned non-2xx status \
                    code: 403 Forbidden: <?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>\
                    SignatureDoesNotMatch</Code><Message>Check your key.</Message></Error>";
        let told = detail(&text);
        assert!(told.ends_with("403 Forbidden: SignatureDoesNotMatch: Check your key."), "{told}");
        let other = "status code: 403 Forbidden: <html>\n<p>no</p>";
        assert_eq!(detail(&other), "status code: 403 Forbidden: <html>", "no document of S3");
    }

    fn generic(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.to_owned().into() }
    }

    fn sorted(error: &object_store::Error) -> StoreError {
        StoreError::from_client(StoreCall::Get, &Path::from("a/b"), error)
    }

    #[test]
    fn what_may_pass_and_what_never_will_are_told_apart() {
        let status = |code: &str| {
            sorted(&generic(&format!("Server returned non-2xx status code: {code}: <Error>")))
        };
        for passing in ["503 Service Unavailable", "429 Too Many", "408 Timeout", "500 Internal"] {
            assert!(matches!(status(passing), StoreError::Unavailable { .. }), "{passing}");
        }
        for lasting in ["400 Bad Request", "416 Range Not Satisfiable", "405 Method"] {
            assert!(matches!(status(lasting), StoreError::Refused { .. }), "{lasting}");
        }
        assert!(matches!(status("403 Forbidden"), StoreError::Denied { .. }));
        let slow = status("400 Bad Request: <Code>RequestTimeout</Code>");
        assert!(slow.may_pass(), "{slow}");
    }

    #[test]
    fn hdfs_refusing_a_user_is_denied_and_in_safe_mode_may_pass() {
        let denied = "RPC error: org.apache.hadoop.security.AccessControlException: user=x";
        assert!(matches!(sorted(&generic(denied)), StoreError::Denied { .. }));
        let starting = "RPC error: org.apache.hadoop.hdfs.server.namenode.SafeModeException";
        assert!(sorted(&generic(starting)).may_pass());
    }

    #[test]
    fn a_full_or_failing_disk_may_pass_and_a_forbidden_one_is_denied() {
        let io = |kind: io::ErrorKind| {
            let source = Box::new(io::Error::from(kind));
            sorted(&object_store::Error::Generic { store: "file", source })
        };
        assert!(matches!(io(io::ErrorKind::StorageFull), StoreError::Unavailable { .. }));
        assert!(matches!(io(io::ErrorKind::PermissionDenied), StoreError::Denied { .. }));
        assert!(matches!(io(io::ErrorKind::ReadOnlyFilesystem), StoreError::Refused { .. }));
    }

    #[test]
    fn a_status_is_told_also_behind_a_long_address() {
        let address = "x".repeat(DETAIL_CHARS_MAX);
        let told = sorted(&generic(&format!("PUT {address} - status code: 507 Full"))).to_string();
        assert!(told.contains("status code: 507"), "{told}");
    }

    #[test]
    fn a_stack_trace_is_cut_to_its_first_line() {
        let long = format!("{}\n\tat org.apache.hadoop", "x".repeat(1000));
        let told = sorted(&generic(&long)).to_string();
        assert!(told.len() < 500 && !told.contains("hadoop"), "{told}");
    }
}
