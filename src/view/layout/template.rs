//! Path templates: `{year}/{year}-{month}/{name}`.

use super::{Field, Mistake};
use crate::model::name::PREFIX_LEN;

/// A path as pieces; directories first, then what stands before the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    directories: Vec<Vec<Piece>>,
    prefix: Vec<Piece>,
}

/// A piece of one part of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Piece {
    /// The text itself.
    Text(String),
    /// A fact, and what stands for it where it is not known.
    Field(Field, String),
}

/// Longest template, bytes: that of a path in Linux.
const LONGEST: usize = 4096;
/// Most parts of a path.
const DEEPEST: usize = 12;
/// Most different fields in the directories of a path.
pub const MOST_FIELDS: usize = 5;

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it and where.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        if text.len() > LONGEST {
            return Err(Mistake::at(0, format!("a path has {LONGEST} bytes at most")));
        }
        let mut segments: Vec<Vec<Piece>> = vec![Vec::new()];
        let mut literal = String::new();
        let mut chars = text.chars().enumerate().peekable();
        let mut named = false;
        let end = |literal: &mut String, segments: &mut Vec<Vec<Piece>>| {
            if let (false, Some(last)) = (literal.is_empty(), segments.last_mut()) {
                last.push(Piece::Text(std::mem::take(literal)));
            }
        };
        while let Some((at, c)) = chars.next() {
            if named {
                return Err(Mistake::at(at, "`{name}` ends the path: nothing may follow it"));
            }
            match c {
                '{' if chars.next_if(|(_, c)| *c == '{').is_some() => literal.push('{'),
                '}' if chars.next_if(|(_, c)| *c == '}').is_some() => literal.push('}'),
                '}' => return Err(Mistake::at(at, "`}` without `{` (a brace itself is written twice)")),
                '{' => {
                    let inside: String = chars.by_ref().map(|(_, c)| c).take_while(|c| *c != '}').collect();
                    if text.chars().nth(at + inside.chars().count() + 1) != Some('}') {
                        return Err(Mistake::at(at, "`{` without `}` (a brace itself is written twice)"));
                    }
                    end(&mut literal, &mut segments);
                    let piece = field(&inside, at)?;
                    named = matches!(piece, Piece::Field(Field::Name, _));
                    if let Some(last) = segments.last_mut() {
                        last.push(piece);
                    }
                }
                '/' => {
                    end(&mut literal, &mut segments);
                    if segments.last().is_none_or(Vec::is_empty) {
                        return Err(Mistake::at(at, "a part of the path is empty"));
                    }
                    segments.push(Vec::new());
                }
                c if c.is_control() => return Err(Mistake::at(at, "a control character")),
                c => literal.push(c),
            }
        }
        let length = text.chars().count();
        if !named {
            return Err(Mistake::at(length, "the path must end with `{name}`"));
        }
        let mut prefix = segments.pop().unwrap_or_default();
        prefix.pop();
        check_prefix(&prefix, text)?;
        if segments.len() > DEEPEST {
            return Err(Mistake::at(0, format!("more than {DEEPEST} directories")));
        }
        for pieces in &segments {
            if let [Piece::Text(only)] = pieces.as_slice()
                && only.trim_matches(['.', ' ']).is_empty()
            {
                return Err(Mistake::at(0, format!("`{only}` cannot be the name of a directory")));
            }
        }
        let template = Self { text: text.to_owned(), directories: segments, prefix };
        if template.fields().len() > MOST_FIELDS {
            return Err(Mistake::at(0, format!("more than {MOST_FIELDS} different fields in directories")));
        }
        if template.prefix_has(Field::Position) && !template.fields().contains(&Field::Album) {
            return Err(Mistake::at(
                column_of(text, "{position"),
                "`{position}` needs a directory by `{album}`",
            ));
        }
        Ok(template)
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The directories, outermost first.
    pub fn directories(&self) -> &[Vec<Piece>] {
        &self.directories
    }

    /// What stands in front of the name.
    pub fn prefix(&self) -> &[Piece] {
        &self.prefix
    }

    /// The different fields that the directories follow from, in order.
    pub fn fields(&self) -> Vec<Field> {
        let mut fields: Vec<Field> = self
            .directories
            .iter()
            .flatten()
            .filter_map(|piece| if let Piece::Field(field, _) = piece { Some(*field) } else { None })
            .collect();
        fields.sort_unstable();
        fields.dedup();
        fields
    }

    fn prefix_has(&self, wanted: Field) -> bool {
        self.prefix.iter().any(|piece| matches!(piece, Piece::Field(field, _) if *field == wanted))
    }
}

fn field(inside: &str, at: usize) -> Result<Piece, Mistake> {
    let (word, unknown) = match inside.split_once('|') {
        Some((word, unknown)) => (word, Some(unknown)),
        None => (inside, None),
    };
    let field = Field::of(word).ok_or_else(|| {
        let known: Vec<&str> = Field::ALL.iter().map(|(_, word, _)| *word).collect();
        Mistake::at(at + 1, format!("there is no field `{word}`; there are {}", known.join(", ")))
    })?;
    if let Some(unknown) = unknown {
        let column = at + 2 + word.chars().count();
        if field.unknown().is_empty() {
            return Err(Mistake::at(column, format!("`{word}` is always known")));
        }
        if unknown.trim_matches(['.', ' ']).is_empty() || unknown.contains('/') {
            return Err(Mistake::at(column, "this cannot be the name of a directory"));
        }
    }
    Ok(Piece::Field(field, unknown.unwrap_or(field.unknown()).to_owned()))
}

fn check_prefix(prefix: &[Piece], text: &str) -> Result<(), Mistake> {
    let mut length = 0;
    for piece in prefix {
        match piece {
            Piece::Text(text) => length += text.len(),
            Piece::Field(field, _) if field.is_short() => length += 10,
            Piece::Field(field, _) => {
                let column = column_of(text, &format!("{{{}", field.word()));
                let why = "only dates, times and `{position}` may stand in front of `{name}`";
                return Err(Mistake::at(column, why));
            }
        }
    }
    if length > PREFIX_LEN {
        let why = format!("what stands in front of `{{name}}` may have {PREFIX_LEN} bytes at most");
        return Err(Mistake::at(column_of(text, "{name"), why));
    }
    Ok(())
}

/// Where the last part of a path has this.
fn column_of(text: &str, what: &str) -> usize {
    text.rfind(what).map_or(0, |at| text[..at].chars().count())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_template_is_directories_then_a_prefix() {
        let template = Template::parse("By {camera|No camera}/{year}-{month}/{day} {name}").unwrap();
        assert_eq!(template.directories().len(), 2);
        assert_eq!(template.fields(), [Field::Year, Field::Month, Field::Camera]);
        assert_eq!(template.prefix().len(), 2);
        assert_eq!(template.directories()[0][1], Piece::Field(Field::Camera, "No camera".into()));
        assert!(Template::parse("{name}").unwrap().directories().is_empty());
        let braces = Template::parse("{{x}}/{name}").unwrap();
        assert_eq!(braces.directories()[0], [Piece::Text("{x}".into())]);
    }

    #[test]
    fn mistakes_have_a_column() {
        for (text, column, why) in [
            ("", 1, "must end with"),
            ("{year}", 7, "must end with"),
            ("{yaer}/{name}", 2, "no field `yaer`"),
            ("{year}//{name}", 8, "empty"),
            ("/{name}", 1, "empty"),
            ("{year/{name}", 2, "no field"),
            ("{year}/{name", 8, "without `}`"),
            ("a}/{name}", 2, "without `{`"),
            ("{name}.jpg", 7, "nothing may follow"),
            ("{camera} {name}", 1, "only dates"),
            ("{year|x}/{name}", 7, "always known"),
            ("{lens|..}/{name}", 7, "cannot be"),
            ("{year}/{position} {name}", 8, "needs a directory"),
            ("../{name}", 1, "cannot be"),
        ] {
            let mistake = Template::parse(text).unwrap_err();
            assert_eq!(mistake.column, column, "{text}: {}", mistake.why);
            assert!(mistake.why.contains(why), "{text}: {}", mistake.why);
        }
    }
}
