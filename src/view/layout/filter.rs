//! Conditions: `favourite and not (video or year < 2010)`.

use super::{Field, Mistake};
use crate::model::name::fold;

/// A condition on an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Every item.
    All,
    /// Items of which that is so.
    Is(Word),
    /// Items whose number (year, month, day) compares so.
    Number(Field, Compare, i64),
    /// Items whose text is this or not; the text is folded.
    Text(Field, bool, String),
    /// What is not so.
    Not(Box<Self>),
    /// Both.
    And(Box<Self>, Box<Self>),
    /// Either.
    Or(Box<Self>, Box<Self>),
}

/// A comparison of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Compare {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Compare {
    /// Whether `a` compares so to `b`.
    pub const fn holds(self, a: i64, b: i64) -> bool {
        match self {
            Self::Equal => a == b,
            Self::Unequal => a != b,
            Self::Less => a < b,
            Self::AtMost => a <= b,
            Self::More => a > b,
            Self::AtLeast => a >= b,
        }
    }
}

/// What may be so of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the table in `layout` says what each is")]
pub enum Word {
    Favourite,
    Archived,
    Gone,
    Shared,
    InAlbum,
    Duplicate,
    Repeat,
    Recent,
    Edited,
    Photo,
    Video,
    Live,
    Raw,
    Screenshot,
    Animation,
    Placed,
    Camera,
    Lens,
    DateConflict,
}

impl Word {
    const ALL: [(Self, &'static str); 20] = [
        (Self::Favourite, "favourite"),
        (Self::Favourite, "favorite"),
        (Self::Archived, "archived"),
        (Self::Gone, "gone"),
        (Self::Shared, "shared"),
        (Self::InAlbum, "in-album"),
        (Self::Duplicate, "duplicate"),
        (Self::Repeat, "repeat"),
        (Self::Recent, "recent"),
        (Self::Edited, "edited"),
        (Self::Photo, "photo"),
        (Self::Video, "video"),
        (Self::Live, "live"),
        (Self::Raw, "raw"),
        (Self::Screenshot, "screenshot"),
        (Self::Animation, "animation"),
        (Self::Placed, "placed"),
        (Self::Camera, "camera"),
        (Self::Lens, "lens"),
        (Self::DateConflict, "date-conflict"),
    ];
}

impl Filter {
    /// Reads a condition; an empty one holds for everything.
    ///
    /// # Errors
    /// What is wrong with it and where.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        if text.len() > LONGEST {
            return Err(Mistake::at(0, format!("a condition has {LONGEST} bytes at most")));
        }
        let tokens = tokens(text)?;
        if tokens.is_empty() {
            return Ok(Self::All);
        }
        let mut reader = Reader { tokens, at: 0, end: text.chars().count(), depth: 0 };
        let filter = reader.either()?;
        match reader.tokens.get(reader.at) {
            None => Ok(filter),
            Some((column, _)) => Err(Mistake::at(*column, "`and`, `or` or the end is expected here")),
        }
    }

    /// Whether the condition speaks of any of these.
    pub fn asks(&self, wanted: &impl Fn(&Self) -> bool) -> bool {
        wanted(self)
            || match self {
                Self::Not(inner) => inner.asks(wanted),
                Self::And(a, b) | Self::Or(a, b) => a.asks(wanted) || b.asks(wanted),
                _ => false,
            }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Compare(Compare),
    Open,
    Close,
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, Mistake> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let begin = at;
        let token = match chars[at] {
            c if c.is_whitespace() => {
                at += 1;
                continue;
            }
            '(' => Token::Open,
            ')' => Token::Close,
            '=' => Token::Compare(Compare::Equal),
            '!' if chars.get(at + 1) == Some(&'=') => Token::Compare(Compare::Unequal),
            '<' if chars.get(at + 1) == Some(&'=') => Token::Compare(Compare::AtMost),
            '>' if chars.get(at + 1) == Some(&'=') => Token::Compare(Compare::AtLeast),
            '<' => Token::Compare(Compare::Less),
            '>' => Token::Compare(Compare::More),
            '"' => {
                let inside: String = chars[at + 1..].iter().take_while(|c| **c != '"').collect();
                at += inside.chars().count() + 1;
                if at >= chars.len() {
                    return Err(Mistake::at(begin, "the text is not closed by `\"`"));
                }
                Token::Text(inside)
            }
            c if c.is_alphanumeric() => {
                let word: String =
                    chars[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '-').collect();
                at += word.chars().count() - 1;
                Token::Word(word)
            }
            c => return Err(Mistake::at(at, format!("`{c}` has no meaning here"))),
        };
        at += match token {
            Token::Compare(Compare::Unequal | Compare::AtMost | Compare::AtLeast) => 2,
            _ => 1,
        };
        tokens.push((begin, token));
    }
    Ok(tokens)
}

struct Reader {
    tokens: Vec<(usize, Token)>,
    at: usize,
    end: usize,
    depth: usize,
}

/// Longest condition, bytes: a chain of `and` is a list that is walked, and dropped, from its far end.
const LONGEST: usize = 4096;
/// Deepest nesting; a person writes two or three.
const DEEPEST: usize = 32;

impl Reader {
    fn either(&mut self) -> Result<Filter, Mistake> {
        let mut left = self.both()?;
        while self.word("or") {
            left = Filter::Or(left.into(), self.both()?.into());
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Filter, Mistake> {
        let mut left = self.one()?;
        while self.word("and") {
            left = Filter::And(left.into(), self.one()?.into());
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Filter, Mistake> {
        let Some((column, token)) = self.tokens.get(self.at).cloned() else {
            return Err(Mistake::at(self.end, "a condition is expected here"));
        };
        self.at += 1;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Mistake::at(column, "this is nested too deeply"));
        }
        let filter = match token {
            Token::Open => {
                let inner = self.either()?;
                if self.next() != Some(Token::Close) {
                    return Err(Mistake::at(column, "the parenthesis is not closed"));
                }
                inner
            }
            Token::Word(word) if word == "not" => Filter::Not(self.one()?.into()),
            Token::Word(word) => self.atom(&word, column)?,
            _ => return Err(Mistake::at(column, "a word is expected here")),
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn atom(&mut self, word: &str, column: usize) -> Result<Filter, Mistake> {
        if let Some((_, Token::Compare(compare))) = self.tokens.get(self.at) {
            let compare = *compare;
            self.at += 1;
            return self.comparison(word, column, compare);
        }
        Word::ALL.iter().find(|(_, name)| *name == word).map(|(word, _)| Filter::Is(*word)).ok_or_else(|| {
            let known: Vec<&str> = Word::ALL.iter().map(|(_, name)| *name).collect();
            Mistake::at(column, format!("`{word}` is no condition; there are {}", known.join(", ")))
        })
    }

    fn comparison(&mut self, word: &str, column: usize, compare: Compare) -> Result<Filter, Mistake> {
        use Field::{Account, Album, Camera, City, Country, Day, Lens, Month, Owner, Region, Type, Year};
        let place = self.tokens.get(self.at).map_or(self.end, |(column, _)| *column);
        match (Field::of(word), self.next()) {
            (Some(field @ (Year | Month | Day)), Some(Token::Word(number))) => number
                .parse()
                .map(|number| Filter::Number(field, compare, number))
                .map_err(|_| Mistake::at(place, "a number is expected here")),
            (Some(Year | Month | Day), _) => Err(Mistake::at(place, "a number is expected here")),
            (
                Some(field @ (Camera | Lens | Country | Region | City | Type | Album | Owner | Account)),
                Some(Token::Text(text)),
            ) => match compare {
                Compare::Equal => Ok(Filter::Text(field, true, fold(&text))),
                Compare::Unequal => Ok(Filter::Text(field, false, fold(&text))),
                _ => Err(Mistake::at(column, "texts are compared by `=` and `!=` only")),
            },
            (Some(_), _) => Err(Mistake::at(place, "a text in double quotes is expected here")),
            (None, _) => Err(Mistake::at(column, format!("there is no field `{word}`"))),
        }
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).map(|(_, token)| token.clone());
        self.at += 1;
        token
    }

    fn word(&mut self, wanted: &str) -> bool {
        let there = matches!(self.tokens.get(self.at), Some((_, Token::Word(word))) if word == wanted);
        self.at += usize::from(there);
        there
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn conditions_bind_as_people_expect() {
        let is = |word| Filter::Is(word);
        let parse = |text| Filter::parse(text).unwrap();
        assert_eq!(parse("  "), Filter::All);
        assert_eq!(
            parse("favourite or raw and not gone"),
            Filter::Or(
                is(Word::Favourite).into(),
                Filter::And(is(Word::Raw).into(), Filter::Not(is(Word::Gone).into()).into()).into()
            )
        );
        assert_eq!(parse("year>=2020"), Filter::Number(Field::Year, Compare::AtLeast, 2020));
        assert_eq!(parse("camera != \"Canon EOS\""), Filter::Text(Field::Camera, false, "canon eos".into()));
        assert_eq!(parse("(in-album)"), is(Word::InAlbum));
    }

    #[test]
    fn mistakes_have_a_column() {
        for (text, column) in [
            ("favorit", 1),
            ("not", 4),
            ("(gone", 1),
            ("gone gone", 6),
            ("year = x", 8),
            ("camera < \"x\"", 1),
            ("camera = x", 10),
            ("camera = \"x", 10),
            ("gone & raw", 6),
            ("colour = \"red\"", 1),
        ] {
            assert_eq!(Filter::parse(text).unwrap_err().column, column, "{text}");
        }
        assert!(Filter::parse(&"(".repeat(100_000)).is_err());
        assert!(Filter::parse(&"not ".repeat(100_000)).is_err());
        assert!(Filter::parse(&"gone and ".repeat(100_000)).is_err());
    }
}
