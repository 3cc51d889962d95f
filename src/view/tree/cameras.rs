//! Cameras by name: several spellings of one, and which of them names its directory.

use std::collections::HashMap;

use super::UNKNOWN_CAMERA;
use super::items::Items;
use crate::model::camera::{camera_dir, camera_fold};

/// All cameras.
#[derive(Default)]
pub struct Cameras {
    cameras: Vec<Camera>,
    by_fold: HashMap<String, u32>,
    spellings: Vec<Spelling>,
    by_text: HashMap<String, u32>,
    /// What is known of a maker and a model as written; naming them anew for every photo would be slow.
    by_writing: HashMap<String, u32>,
}

struct Camera {
    fold: String,
    shown: u32,
}

struct Spelling {
    text: String,
    camera: u32,
}

impl Cameras {
    /// The number of the spelling for a maker and model as written.
    pub fn spelling_of(&mut self, make: Option<&str>, model: Option<&str>) -> u32 {
        // Nothing written and an empty text say the same: nothing.
        let writing = [make.unwrap_or_default(), model.unwrap_or_default()].join("\u{1}");
        if let Some(id) = self.by_writing.get(&writing) {
            return *id;
        }
        let id = self.spelling_id(camera_dir(make, model).as_deref().unwrap_or(UNKNOWN_CAMERA));
        self.by_writing.insert(writing, id);
        id
    }

    /// The number of a spelling; a new one may be that of a new camera, which it then names.
    fn spelling_id(&mut self, text: &str) -> u32 {
        if let Some(id) = self.by_text.get(text) {
            return *id;
        }
        let id = u32::try_from(self.spellings.len()).unwrap_or(u32::MAX);
        let fold = camera_fold(text);
        let camera = *self.by_fold.entry(fold).or_insert_with_key(|fold| {
            self.cameras.push(Camera { fold: fold.clone(), shown: id });
            u32::try_from(self.cameras.len() - 1).unwrap_or(u32::MAX)
        });
        self.spellings.push(Spelling { text: text.to_owned(), camera });
        self.by_text.insert(text.to_owned(), id);
        id
    }

    /// The camera that is spelled so.
    pub fn camera_of(&self, spelling: u32) -> u32 {
        self.spellings[spelling as usize].camera
    }

    /// What all spellings share, and the one that is shown.
    pub fn names(&self, camera: u32) -> (&str, &str) {
        let camera = &self.cameras[camera as usize];
        (&camera.fold, &self.spellings[camera.shown as usize].text)
    }

    /// Shows the spelling of the item with the lowest number; whether that is another one than before.
    pub fn choose_spelling(&mut self, camera: u32, items: &Items) -> bool {
        let rivals = self.spellings.iter().filter(|spelling| spelling.camera == camera).count();
        if rivals < 2 {
            return false;
        }
        let first = items.in_order().map(|slot| items.spelling(slot)).find(|&s| self.camera_of(s) == camera);
        let shown = &mut self.cameras[camera as usize].shown;
        match first {
            Some(first) if first != *shown => {
                *shown = first;
                true
            }
            _ => false,
        }
    }
}
