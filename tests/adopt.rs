//! Taking over what people have: every trap of a Takeout, folders of other programs, and a sync that fetches the rest.

mod again;
mod command;
mod folders;
mod hostile;
pub mod support;
mod takeout;
