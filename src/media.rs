//! stub
pub mod kind { use crate::model::ReadAt; #[derive(PartialEq)] pub enum Kind{Zip,Other} impl Kind{pub fn is_video(&self)->bool{false}} pub fn of(_b:&dyn ReadAt)->Kind{Kind::Other} }
pub mod whole { use crate::model::ReadAt; pub fn check(_b:&dyn ReadAt)->Result<(),String>{Ok(())} }
use std::sync::Arc; use crate::model::*;
pub fn inspect(_b: Arc<dyn ReadAt>, _n:&str)->MediaFacts{MediaFacts::default()}
