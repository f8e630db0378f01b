//! The bottom room: ids, time, limits and digests that every other room shares.
//!
//! Nothing here knows what a plan or a run is. Everything is a small value type: a newtype for each
//! kind of number, so that a shard index can never be passed where a stage index is meant.

pub mod count;
pub mod digest;
pub mod id;
pub mod idvec;
pub mod limits;
pub mod sha256;
pub mod sign;
pub mod size;
pub mod text;
pub mod time;

pub use digest::Digest;
pub use id::{NodeIx, PoolIx, RunId, ScopeIx};
pub use idvec::IdVec;
pub use sha256::sha256;
pub use sign::{PublicKey, SecretKey};
pub use size::size_bytes;
pub use text::Text;
pub use time::{Millis, Span};
