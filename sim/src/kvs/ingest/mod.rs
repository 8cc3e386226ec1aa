//! PutMedia: footage comes in, acknowledgements go out, complete fragments are persisted and written into the ledger.

pub mod ack;
pub mod assembler;
pub mod connection;
pub mod ledger;
pub mod pace;
pub mod put_media;
pub mod session;
