//! What every document has: language, base, globals, first data (contract 1.2, 3.1, 5.2).

use hyper::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::HTML;
use super::scripts;
use crate::sim::answer::{Answer, plain};
use crate::sim::google::Google;

/// A document in the making.
pub(crate) struct Page<'a> {
    pub(crate) google: &'a Google,
    /// Addresses of Google Photos are relative to this account; none on other hosts.
    pub(crate) user: Option<&'a str>,
    pub(crate) title: &'a str,
    pub(crate) head: &'a str,
    pub(crate) body: &'a str,
    pub(crate) scripts: bool,
}

impl<'a> Page<'a> {
    pub(crate) fn new(google: &'a Google) -> Self {
        Self { google, user: None, title: "Google Photos", head: "", body: "", scripts: false }
    }

    pub(crate) fn answer(&self, status: StatusCode) -> Answer {
        let lang = self.google.config.language.tag();
        let scripts = if self.scripts { scripts::links() } else { String::new() };
        let base = self.user.map(|user| format!("<base href=\"https://photos.google.com{user}/\">"));
        let base = base.unwrap_or_default();
        // The icon is empty, so that no browser asks for one.
        let html = format!(
            "<!doctype html><html lang=\"{lang}\" dir=\"ltr\"><head>{base}\
             <meta charset=\"utf-8\"><title>{}</title><link rel=\"icon\" href=\"data:,\">\
             {}{scripts}</head><body jscontroller=\"pjICDe\">{}</body></html>",
            escape(self.title),
            self.head,
            self.body,
        );
        plain(status, HTML, html)
    }
}

/// The globals script. `user` is empty or `/u/<n>`.
pub(crate) fn globals(google: &Google, user: &str, signed_in: bool) -> String {
    globals_with(google, user, signed_in, None)
}

/// The globals script of a page that may have a fresh proof of who is there.
pub(crate) fn globals_with(google: &Google, user: &str, signed_in: bool, proof: Option<String>) -> String {
    let mut wiz = json!({
        "FdrFJe": "-4712345678901234567", "cfb2h": "boq_photosuiserver_20261101.03_p0",
        "eptZe": format!("{user}/_/PhotosUi/"), "Im6cmf": format!("{user}/_/PhotosUi"),
        "qwAQke": "PhotosUi", "QrtxK": user.strip_prefix("/u/").unwrap_or_default(),
        "S06Grb": "", "fZ7nb": "photos.fife.usercontent.google.com",
        "PPuhxd": "lh3.googleusercontent.com", "JbRbyb": "lh3.google.com", "eNnkwf": "1770000000",
        "thykhd": "AKH95et0simulated\u{3d}", "qymVe": "simulatedNonce", "TSDtV": "%.@.[]]",
    });
    if signed_in {
        wiz["SNlM0e"] = Value::from(google.session.token());
        wiz["S06Grb"] = Value::from(google.config.account_id());
        wiz["oPEP7c"] = Value::from(google.config.email());
    }
    if let Some(proof) = proof {
        wiz["Dbw5Ud"] = Value::from(proof);
    }
    format!(
        "<script data-id=\"_gd\" nonce=\"{}\">window.WIZ_global_data = {};</script>",
        scripts::NONCE,
        script_json(&wiz)
    )
}

/// The data of the first view: what was asked, and an answer for each.
pub(crate) fn first_data(data: &[(&str, Value, Value)]) -> String {
    let nonce = scripts::NONCE;
    let requests: Vec<_> = data
        .iter()
        .enumerate()
        .map(|(n, (rpcid, request, _))| {
            format!("'ds:{n}' : {{id:'{rpcid}',request:{}}}", script_json(request))
        })
        .collect();
    let mut out = format!(
        "<script nonce=\"{nonce}\">var AF_initDataKeys = [{}]; var AF_dataServiceRequests = {{{}}}; \
         var AF_initDataChunkQueue = []; \
         var AF_initDataCallback = function(chunk) {{ AF_initDataChunkQueue.push(chunk); }};</script>",
        (0..data.len()).map(|n| format!("\"ds:{n}\"")).collect::<Vec<_>>().join(","),
        requests.join(",")
    );
    for (n, (_, _, answer)) in data.iter().enumerate() {
        out.push_str(&format!(
            "<script class=\"ds:{n}\" nonce=\"{nonce}\">AF_initDataCallback({{key: 'ds:{n}', hash: '{}', \
             data:{}, sideChannel: {{}}}});</script>",
            n + 1,
            script_json(answer)
        ));
    }
    out
}

/// The frame around every view.
pub(crate) fn skeleton(google: &Google, user: &str) -> String {
    let email = google.config.email();
    let home = if user.is_empty() { "./" } else { user };
    format!(
        "<div jscontroller=\"Wp0seb\" tabindex=\"-1\"><div id=\"yDmH0d\"><c-wiz jsrenderer=\"bNbNi\">\
         <h2 class=\"hid\">Press question mark to see available shortcut keys</h2>\
         <div id=\"gb\"><a href=\"{home}\" aria-label=\"Google apps\"></a>\
         <a href=\"https://accounts.google.com/SignOutOptions?continue=https://photos.google.com/\" \
         aria-label=\"Google Account: Demo Person\n({email})\"></a></div>\
         <div class=\"b2YVqc\"></div></c-wiz></div></div>"
    )
}

/// The pages' clock.
pub(crate) fn now_ms(google: &Google) -> i64 {
    google.config.now.unwrap_or_else(Timestamp::now).as_millisecond()
}

/// JSON for a script: no `;`, no markup, as clients with regular expressions expect.
pub(crate) fn script_json(value: &Value) -> String {
    value
        .to_string()
        .replace(';', "\\u003b")
        .replace('<', "\\u003c")
        .replace('=', "\\u003d")
        .replace('&', "\\u0026")
}

/// Text for markup.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
