//! Google Photos' own remote calls (contract 5): the wire format, the shapes, and what each answer means.
//! Pure functions over captured text; making the call is the page's business.

pub mod albums;
pub mod counts;
pub mod details;
pub mod fields;
pub mod frame;
pub mod info;
pub mod item;
pub mod recent;
pub mod timeline;
pub mod trash;
