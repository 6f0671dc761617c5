//! IAM's policy language: documents as IAM reads them, changed without touching what is not meant.
//!
//! A [`Document`] keeps its text; an edit replaces bytes of it, so that every other statement stays as its author wrote it.
//! [`Narrowed`] is the only way to a changed policy: it holds a proof that nothing is granted that was not granted before.
//! Whatever cannot be told for certain counts as not told.

mod document;
mod grant;
mod pattern;
mod subset;

pub use document::{Document, Edit, Principal, Statement, Unreadable, difference, says_the_same, texts};
pub use grant::{Blocked, is_all_keys, is_everything};
pub use pattern::{includes, matches, may_meet};
pub use subset::{Narrowed, Unproven, within};
