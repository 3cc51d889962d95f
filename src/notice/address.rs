//! Addresses of places that are told something.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

/// `scheme://user:password@host:port/path?query`, taken apart without any rule about what a host may be.
pub(super) struct Address<'a> {
    pub scheme: &'a str,
    pub user: Option<String>,
    pub password: Option<String>,
    pub host: &'a str,
    pub path: Vec<&'a str>,
    pub query: BTreeMap<String, String>,
}

/// Text behind its percent signs.
pub(super) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl<'a> Address<'a> {
    /// Nothing where there is no `://`.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, host) =
            authority.rsplit_once('@').map_or((None, authority), |(login, host)| (Some(login), host));
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            Some((user, "")) => (Some(decoded(user)), None),
            Some((user, password)) => (Some(decoded(user)), Some(decoded(password))),
            None => (None, None),
        };
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        Some(Self {
            scheme,
            user,
            password,
            host,
            path: path.split('/').filter(|piece| !piece.is_empty()).collect(),
            query: pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect(),
        })
    }

    /// Address of a server, encrypted if the scheme ends with `s`.
    pub fn server(&self) -> String {
        format!("http{}://{}", if self.scheme.ends_with('s') { "s" } else { "" }, self.host)
    }
}
