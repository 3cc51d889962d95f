//! One request to batchexecute, made by the signed-in page itself: its script, and what the page saw. The
//! token never leaves the page.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::rpc::frame;
use super::{RemoteError, direct};

/// Longest wait for one request, shorter than the protocol crate's own 30 s.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(25);

/// What the page's `fetch` saw.
#[derive(Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    status: u16,
    #[serde(default)]
    redirected: bool,
    retry_after: Option<String>,
    #[serde(default)]
    text: String,
    error: Option<String>,
}

impl Answer {
    /// The payloads of `count` calls, in their order.
    pub(super) fn payloads(
        self,
        rpcid: &str,
        count: usize,
    ) -> Result<Vec<Result<Value, RemoteError>>, RemoteError> {
        if let Some(error) = self.error {
            return Err(RemoteError::Transient(format!("{rpcid}: the call did not get through: {error}")));
        }
        // May be a lost session: `Refused` makes the caller look.
        let refused = |what: &str| Err(RemoteError::Refused(format!("{rpcid} was answered with {what}")));
        match self.status {
            _ if self.redirected => refused("a redirect"),
            401 | 403 => refused("a refusal"),
            // A token that has aged is renewed with the page.
            400 => refused("\"bad request\""),
            429 | 503 => {
                let after = self.retry_after.as_deref().and_then(direct::retry_after);
                Err(RemoteError::Throttled { reason: format!("{rpcid}: status {}", self.status), after })
            }
            200 if self.text.trim_start().starts_with('<') => refused("a web page"),
            200 => {
                let answers = frame::payloads(rpcid, count, &self.text)?;
                // "Unauthenticated" concerns the session, whichever row says it.
                for answer in &answers {
                    if let Err(RemoteError::SignedOut { evidence }) = answer {
                        return Err(RemoteError::Refused(evidence.clone()));
                    }
                }
                Ok(answers)
            }
            other => Err(RemoteError::Transient(format!("{rpcid}: status {other}"))),
        }
    }
}

/// The script of one request. The page's own globals give address, build and token (contract 5.1, 5.2).
pub(super) fn script(rpcid: &str, calls: &[Value]) -> String {
    let rpcid_text = Value::from(rpcid).to_string();
    let request = Value::from(frame::request(rpcid, calls)).to_string();
    let limit = CALL_LIMIT.as_millis() - 3000;
    format!(
        r"(async () => {{
  const w = window.WIZ_global_data;
  if (!w || !w.SNlM0e) return {{ redirected: true }};
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), {limit});
  window.__reqid = (window.__reqid || 100000 + Math.floor(Math.random() * 900000)) + 100000;
  const query = new URLSearchParams({{ rpcids: {rpcid_text}, 'source-path': location.pathname, 'f.sid': w.FdrFJe || '',
    bl: w.cfb2h || '', hl: 'en', 'soc-app': '165', 'soc-platform': '1', 'soc-device': '1',
    _reqid: String(window.__reqid), rt: 'c' }});
  const body = 'f.req=' + encodeURIComponent({request}) + '&at=' + encodeURIComponent(w.SNlM0e) + '&';
  try {{
    const r = await fetch((w.eptZe || '/_/PhotosUi/') + 'data/batchexecute?' + query, {{ method: 'POST', body,
      headers: {{ 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8', 'X-Same-Domain': '1' }},
      credentials: 'same-origin', cache: 'no-store', redirect: 'manual', signal: abort.signal }});
    return {{ status: r.status, redirected: r.type === 'opaqueredirect',
             retry_after: r.headers.get('retry-after'), text: await r.text() }};
  }} catch (e) {{ return {{ error: String(e && e.name) }}; }} finally {{ clearTimeout(timer); }}
}})()"
    )
}
