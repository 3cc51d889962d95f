//! The fault script: what goes wrong, with which requests, and when.

mod page;

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::Duration;

pub use self::page::PageFault;

/// A class of requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RequestClass {
    /// Pages.
    Document,
    /// Calls: all of them, or one by its name.
    Rpc(Option<String>),
    /// Files.
    Download,
    /// Cookie rotation.
    Rotate,
    /// What happens inside a page.
    Page,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The answer begins later.
    Latency(Duration),
    /// The body comes no faster, bytes per second.
    Bandwidth(u64),
    /// A status instead of the answer; `Retry-After` in seconds.
    Status(u16, Option<u64>),
    /// The connection breaks before the answer.
    Reset,
    /// The body ends after so many bytes, against its announced length.
    Truncate(u64),
    /// The body stops after so many bytes, the connection stays.
    Stall(u64),
    /// One byte somewhere is another.
    AlterByte,
    /// A web page with status 200 instead of the file.
    Html,
    /// Another item's file, and not always the same.
    WrongFile,
    /// A listing page without items and without an end.
    EmptyListing,
    /// A listing that ends after so many items.
    ShrunkenListing(usize),
    /// A listing that leads back to its beginning.
    LoopingListing,
    /// The session has lapsed, from now on.
    SessionExpired,
    /// Two positions of each item have changed places.
    Drift,
    /// A payload of null.
    Null,
    /// A payload of an empty list.
    Nothing,
    /// Something inside a page.
    Page(PageFault),
}

/// When it goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// With every request of the class.
    Always,
    /// With this probability.
    Probability(f64),
    /// With the n-th request only, from 1.
    Nth(u64),
    /// With every n-th request.
    Every(u64),
    /// With the first n requests for each item (or, without an item, of the class).
    FirstPerItem(u64),
}

/// One line of the script.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultRule {
    /// Which requests.
    pub class: RequestClass,
    /// What.
    pub fault: Fault,
    /// When.
    pub when: When,
}

impl FaultRule {
    /// A rule.
    pub fn new(class: RequestClass, fault: Fault, when: When) -> Self {
        Self { class, fault, when }
    }
}

/// The script and its memory.
pub struct Faults {
    inner: Mutex<Inner>,
}

struct Inner {
    rules: Vec<FaultRule>,
    seen: Vec<u64>,
    per_item: HashMap<(usize, String), u64>,
    random: fastrand::Rng,
}

impl Faults {
    /// An empty script.
    pub fn new(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self {
            inner: Mutex::new(Inner {
                rules: Vec::new(),
                seen: Vec::new(),
                per_item: HashMap::new(),
                random,
            }),
        }
    }

    /// Adds a rule.
    pub fn set(&self, rule: FaultRule) {
        let mut inner = self.lock();
        inner.rules.push(rule);
        inner.seen.push(0);
    }

    /// Forgets all rules.
    pub fn clear(&self) {
        let mut inner = self.lock();
        inner.rules.clear();
        inner.seen.clear();
        inner.per_item.clear();
    }

    /// What goes wrong with this request. `rpcid` for calls, `item` where one is asked for.
    pub fn strike(&self, class: &RequestClass, item: Option<&str>) -> Vec<Fault> {
        self.strike_those(class, item, |_| true)
    }

    /// What goes wrong with this doing of a page.
    pub(crate) fn strike_page(&self, doing: &str, item: &str) -> Vec<Fault> {
        self.strike_those(
            &RequestClass::Page,
            Some(item),
            |fault| matches!(fault, Fault::Page(fault) if fault.concerns(doing)),
        )
    }

    /// Whether the script holds a fault of pages of this name.
    pub(crate) fn page_words(&self) -> Vec<&'static str> {
        let inner = self.lock();
        let faults = inner.rules.iter().map(|rule| &rule.fault);
        faults
            .filter_map(|fault| if let Fault::Page(fault) = fault { Some(fault.word()) } else { None })
            .collect()
    }

    fn strike_those(
        &self,
        class: &RequestClass,
        item: Option<&str>,
        concerned: impl Fn(&Fault) -> bool,
    ) -> Vec<Fault> {
        let mut inner = self.lock();
        let Inner { rules, seen, per_item, random } = &mut *inner;
        let mut struck = Vec::new();
        for (number, rule) in rules.iter().enumerate() {
            let meant = match (&rule.class, class) {
                (RequestClass::Rpc(None), RequestClass::Rpc(_)) => true,
                (wanted, got) => wanted == got,
            };
            if !meant || !concerned(&rule.fault) {
                continue;
            }
            seen[number] += 1;
            let now = match rule.when {
                When::Always => true,
                When::Probability(p) => random.f64() < p,
                When::Nth(n) => seen[number] == n,
                When::Every(n) => seen[number].is_multiple_of(n),
                When::FirstPerItem(n) => {
                    let count = per_item.entry((number, item.unwrap_or_default().to_owned())).or_insert(0);
                    *count += 1;
                    *count <= n
                }
            };
            if now {
                struck.push(rule.fault.clone());
            }
        }
        struck
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl FromStr for FaultRule {
    type Err = String;

    /// `CLASS FAULT [VALUE] WHEN [N]`, for example `download status=429/2 p=0.05`,
    /// `rpc:lcxiM latency=200 always`, `download truncate=1000 first=1`, `page no-download p=0.1`.
    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<_> = text.split_whitespace().collect();
        let [class, fault, when] = words[..] else {
            return Err(format!("`{text}` is not of the form `CLASS FAULT WHEN`"));
        };
        let class = match class.split_once(':') {
            Some(("rpc", id)) => RequestClass::Rpc(Some(id.to_owned())),
            _ => match class {
                "document" => RequestClass::Document,
                "rpc" => RequestClass::Rpc(None),
                "download" => RequestClass::Download,
                "rotate" => RequestClass::Rotate,
                "page" => RequestClass::Page,
                _ => {
                    return Err(format!("`{class}` is not document, rpc, rpc:ID, download, rotate or page"));
                }
            },
        };
        let (fault, value) = fault.split_once('=').unwrap_or((fault, "0"));
        let number = |t: &str| t.parse::<u64>().map_err(|_| format!("`{t}` is not a number"));
        let fault = match fault {
            "latency" => Fault::Latency(Duration::from_millis(number(value)?)),
            "bandwidth" => Fault::Bandwidth(number(value)?),
            "status" => {
                let (status, after) = value.split_once('/').unwrap_or((value, ""));
                let status = status.parse().map_err(|_| format!("`{status}` is not a status"))?;
                Fault::Status(status, if after.is_empty() { None } else { Some(number(after)?) })
            }
            "reset" => Fault::Reset,
            "truncate" => Fault::Truncate(number(value)?),
            "stall" => Fault::Stall(number(value)?),
            "alter" => Fault::AlterByte,
            "html" => Fault::Html,
            "wrong-file" => Fault::WrongFile,
            "empty" => Fault::EmptyListing,
            "shrink" => Fault::ShrunkenListing(number(value)? as usize),
            "loop" => Fault::LoopingListing,
            "expire" => Fault::SessionExpired,
            "drift" => Fault::Drift,
            "null" => Fault::Null,
            "nothing" => Fault::Nothing,
            _ => match PageFault::read(fault, number(value)?) {
                Some(fault) if class == RequestClass::Page => Fault::Page(fault),
                _ => return Err(format!("`{fault}` is no fault of that class")),
            },
        };
        let (when, value) = when.split_once('=').unwrap_or((when, "1"));
        let when = match when {
            "always" => When::Always,
            "p" => When::Probability(value.parse().map_err(|_| format!("`{value}` is not a probability"))?),
            "nth" => When::Nth(number(value)?),
            "every" => When::Every(number(value)?.max(1)),
            "first" => When::FirstPerItem(number(value)?),
            _ => return Err(format!("`{when}` is not always, p, nth, every or first")),
        };
        Ok(Self { class, fault, when })
    }
}
