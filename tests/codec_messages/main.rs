//! The codec as a whole, all messages in all versions: right values, right bytes, and bounded
//! whatever it is fed.

mod agreement;
mod allocations;
mod codecs;
mod hostile;
mod kafka;
mod layout;
mod random;
mod records;
mod table;
mod tree;
mod value;
