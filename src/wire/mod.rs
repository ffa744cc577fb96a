//! Kafka's wire protocol as bytes and values: frames, headers, messages, error codes. No I/O.
//!
//! `messages` is generated (`cargo xtask codec`); everything else here is what the generated code
//! stands on. Decoding borrows from the frame and is bounded ([`Decoder`]); encoding can leave
//! gaps for bytes that lie in files ([`Cut`]).

mod api_facts;
mod decoder;
mod element;
mod encoder;
pub mod error;
pub mod error_code;
mod error_codes;
pub mod exchange;
pub mod frame;
mod message;
pub mod messages;
mod records;

pub use decoder::Decoder;
pub use element::Element;
pub use encoder::{Cut, Encoder};
pub use error::{DecodeError, EncodeError};
pub use error_code::ErrorCode;
pub use error_codes::ErrorCodes;
pub use message::{Message, Request};
pub use messages::api::ApiKey;
pub use records::Records;
