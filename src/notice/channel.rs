//! The ways to a person, each written as one address, in the forms that Apprise made known.
//!
//! | address | |
//! | --- | --- |
//! | `tgram://BOT_TOKEN/CHAT_ID` | Telegram |
//! | `ntfy://TOPIC`, `ntfys://[USER:PASSWORD@ or TOKEN@]HOST/TOPIC` | ntfy |
//! | `gotifys://HOST/TOKEN` | Gotify |
//! | `pover://USER_KEY@APP_TOKEN` | Pushover |
//! | `discord://WEBHOOK_ID/WEBHOOK_TOKEN` | Discord |
//! | `slack://T…/B…/X…` | Slack |
//! | `apprises://HOST/KEY` | an Apprise server, for everything else |
//! | `https://…` | a webhook: the notice as JSON |
//! | `mailtos://USER:PASSWORD@HOST:PORT?from=A&to=B` | mail |
//! | `exec:///path/to/program` | a program: `SHOEBOX_EVENT`, `_TITLE`, `_TEXT`, `_LINK` in its environment |
//!
//! The webhook addresses that Discord and Slack show are understood as they are. The form without `s` (`ntfy://HOST/TOPIC`, `gotify`, `apprise`, `mailto`) is unencrypted, for servers at home.

use std::path::PathBuf;
use std::str::FromStr;

use super::address::{Address, decoded};
use super::http::{Client, Request};
use super::mail::Mailbox;
use super::{Notice, Trouble, Weight, mail, program};

/// One way to tell a person something.
#[derive(Clone, PartialEq, Eq)]
pub enum Channel {
    /// A bot's message in a chat.
    Telegram {
        /// The bot's.
        token: String,
        /// Number of the chat, or `@name` of a channel.
        chat: String,
    },
    /// A push message by topic.
    Ntfy {
        /// Address of the server, without a slash at the end.
        server: String,
        /// The topic.
        topic: String,
        /// Head `Authorization`.
        authorization: Option<String>,
    },
    /// A push message of a server at home.
    Gotify {
        /// Address of the server.
        server: String,
        /// The application's.
        token: String,
    },
    /// A push message.
    Pushover {
        /// User or group.
        user: String,
        /// The application's.
        token: String,
    },
    /// A webhook of a channel.
    Discord {
        /// `ID/TOKEN`.
        hook: String,
    },
    /// A webhook of a workspace.
    Slack {
        /// `T…/B…/X…`.
        hook: String,
    },
    /// Whatever a person has told their Apprise server.
    Apprise {
        /// Address of the server.
        server: String,
        /// The configuration's.
        key: String,
    },
    /// JSON to any address.
    Webhook {
        /// The address.
        url: String,
    },
    /// Mail.
    Mail(Mailbox),
    /// A program of the person's own.
    Program {
        /// Its path.
        path: PathBuf,
    },
}

impl Channel {
    /// Its name, without secrets.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Telegram { .. } => "Telegram",
            Self::Ntfy { .. } => "ntfy",
            Self::Gotify { .. } => "Gotify",
            Self::Pushover { .. } => "Pushover",
            Self::Discord { .. } => "Discord",
            Self::Slack { .. } => "Slack",
            Self::Apprise { .. } => "the Apprise server",
            Self::Webhook { .. } => "the webhook",
            Self::Mail(_) => "mail",
            Self::Program { .. } => "the program",
        }
    }

    /// Tells it once.
    pub async fn send(&self, client: &Client, notice: &Notice) -> Result<(), Trouble> {
        match self {
            Self::Mail(mailbox) => mail::send(mailbox, notice).await,
            Self::Program { path } => program::run(path, notice).await,
            web => client.send(web.request(notice)).await,
        }
    }

    /// What is sent; of no use for mail and programs.
    fn request(&self, notice: &Notice) -> Request {
        use serde_json::json;
        let Notice { event, title, text, link, .. } = notice;
        let urgent = event.weight() == Weight::Urgent;
        // Where there is no place of its own for the address, it ends the text.
        let whole = match link {
            Some(link) => format!("{text}\n{link}"),
            None => text.clone(),
        };
        match self {
            Self::Telegram { token, chat } => {
                let message = beginning(&format!("{title}\n\n{whole}"), 4096);
                let body =
                    json!({"chat_id": chat, "text": message, "link_preview_options": {"is_disabled": true}});
                Request::json(format!("https://api.telegram.org/bot{token}/sendMessage"), &body)
            }
            Self::Ntfy { server, topic, authorization } => {
                let (priority, tag) = match event.weight() {
                    Weight::Urgent => (4, "warning"),
                    Weight::Notable => (3, "information_source"),
                    Weight::Good => (2, "white_check_mark"),
                };
                let mut body = json!({"topic": topic, "title": title, "message": text, "priority": priority, "tags": [tag]});
                if let Some(link) = link {
                    body["click"] = json!(link);
                }
                Request::json(format!("{server}/"), &body).with("authorization", authorization.as_deref())
            }
            Self::Gotify { server, token } => {
                let mut body =
                    json!({"title": title, "message": text, "priority": if urgent { 8 } else { 4 }});
                if let Some(link) = link {
                    body["extras"] = json!({"client::notification": {"click": {"url": link}}});
                }
                Request::json(format!("{server}/message"), &body).with("x-gotify-key", Some(token))
            }
            Self::Pushover { user, token } => {
                let mut body = json!({"token": token, "user": user, "title": beginning(title, 250), "message": beginning(text, 1024), "priority": i32::from(urgent)});
                if let Some(link) = link {
                    body["url"] = json!(link);
                }
                Request::json("https://api.pushover.net/1/messages.json".into(), &body)
            }
            Self::Discord { hook } => {
                let message = beginning(&format!("**{title}**\n{whole}"), 2000);
                let body = json!({"content": message, "allowed_mentions": {"parse": []}});
                Request::json(format!("https://discord.com/api/webhooks/{hook}"), &body)
            }
            Self::Slack { hook } => {
                let escape =
                    |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                let body = json!({"text": format!("*{}*\n{}", escape(title), escape(&whole))});
                Request::json(format!("https://hooks.slack.com/services/{hook}"), &body)
            }
            Self::Apprise { server, key } => {
                let kind = match event.weight() {
                    Weight::Urgent => "failure",
                    Weight::Notable => "warning",
                    Weight::Good => "success",
                };
                Request::json(
                    format!("{server}/notify/{key}"),
                    &json!({"title": title, "body": whole, "type": kind}),
                )
            }
            Self::Webhook { url } => Request::json(url.clone(), &json!(notice)),
            Self::Mail(_) | Self::Program { .. } => Request::default(),
        }
    }
}

/// Secrets are in almost every field: none of them is printed.
impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Channel({})", self.kind())
    }
}

/// The beginning of a text, at most so many characters.
fn beginning(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

impl FromStr for Channel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let known = "tgram, ntfy, gotify, pover, discord, slack, apprise, http, mailto, exec";
        let address = Address::parse(text).ok_or_else(|| {
            // Not the text itself: it is likely to hold a secret.
            format!("an address to tell does not have the form KIND://…; kinds are {known}")
        })?;
        let form =
            |form: &str| format!("an address of the kind {} must have the form {form}", address.scheme);
        let host = Some(address.host).filter(|host| !host.is_empty());
        let path = address.path.as_slice();
        match (address.scheme, host, path) {
            ("tgram" | "telegram", Some(token), [chat]) if token.contains(':') => {
                Ok(Self::Telegram { token: token.to_owned(), chat: decoded(chat) })
            }
            ("tgram" | "telegram", ..) => Err(form("tgram://BOT_TOKEN/CHAT_ID")),
            ("ntfy" | "ntfys", Some(topic), []) => Ok(Self::Ntfy {
                server: "https://ntfy.sh".into(),
                topic: topic.to_owned(),
                authorization: None,
            }),
            ("ntfy" | "ntfys", Some(_), [topic]) => Ok(Self::Ntfy {
                server: address.server(),
                topic: (*topic).to_owned(),
                authorization: match (&address.user, &address.password) {
                    (Some(user), Some(password)) => Some(basic(user, password)),
                    (Some(token), None) => Some(format!("Bearer {token}")),
                    _ => None,
                },
            }),
            ("ntfy" | "ntfys", ..) => Err(form("ntfy://TOPIC or ntfys://HOST/TOPIC")),
            ("gotify" | "gotifys", Some(_), [.., token]) => {
                let server = [&[address.server().as_str()], &path[..path.len() - 1]].concat().join("/");
                Ok(Self::Gotify { server, token: (*token).to_owned() })
            }
            ("gotify" | "gotifys", ..) => Err(form("gotifys://HOST/TOKEN")),
            ("pover" | "pushover", Some(token), []) if address.user.is_some() => {
                Ok(Self::Pushover { user: address.user.unwrap_or_default(), token: token.to_owned() })
            }
            ("pover" | "pushover", ..) => Err(form("pover://USER_KEY@APP_TOKEN")),
            ("discord", Some(id), [token]) => Ok(Self::Discord { hook: format!("{id}/{token}") }),
            ("discord", ..) => Err(form("discord://WEBHOOK_ID/WEBHOOK_TOKEN")),
            ("slack", Some(team), [bot, token]) => Ok(Self::Slack { hook: format!("{team}/{bot}/{token}") }),
            ("slack", ..) => Err(form("slack://T…/B…/X…")),
            ("apprise" | "apprises", Some(_), [key]) => {
                Ok(Self::Apprise { server: address.server(), key: (*key).to_owned() })
            }
            ("apprise" | "apprises", ..) => Err(form("apprises://HOST/KEY")),
            ("https", Some("discord.com" | "discordapp.com"), ["api", "webhooks", id, token]) => {
                Ok(Self::Discord { hook: format!("{id}/{token}") })
            }
            ("https", Some("hooks.slack.com"), ["services", hook @ ..]) => {
                Ok(Self::Slack { hook: hook.join("/") })
            }
            ("http" | "https", Some(_), _) => Ok(Self::Webhook { url: text.to_owned() }),
            ("mailto" | "mailtos", Some(host), _) => {
                let at = |name: &str| address.query.get(name).cloned();
                let from = at("from").or_else(|| address.user.clone().filter(|user| user.contains('@')));
                let to = at("to").or_else(|| from.clone());
                let (Some(from), Some(to)) = (from, to) else {
                    return Err(form("mailtos://USER:PASSWORD@HOST:PORT?from=A&to=B"));
                };
                let encrypted = address.scheme == "mailtos";
                Mailbox::new(host, encrypted, address.user.zip(address.password), &from, &to).map(Self::Mail)
            }
            ("exec", None, [_, ..]) => {
                let path = text.trim_start_matches("exec://");
                Ok(Self::Program { path: PathBuf::from(decoded(path)) })
            }
            ("exec", ..) => Err(form("exec:///path/to/program")),
            (other, ..) => Err(format!("nobody is told by `{other}://`; kinds are {known}")),
        }
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", data_encoding::BASE64.encode(format!("{user}:{password}").as_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Event;
    use super::*;

    fn channel(text: &str) -> Channel {
        text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    fn notice(event: Event, text: &str) -> Notice {
        let (title, text, link) =
            ("Damage found".to_owned(), text.to_owned(), Some("http://nas:8080/".to_owned()));
        Notice { event, reminder: false, title, text, link, at: jiff::Timestamp::UNIX_EPOCH }
    }

    fn sent(
        address: &str,
        event: Event,
        text: &str,
    ) -> (String, serde_json::Value, Vec<(&'static str, String)>) {
        let request = channel(address).request(&notice(event, text));
        (request.url, serde_json::from_str(&request.body).unwrap(), request.heads)
    }

    #[test]
    fn addresses_lead_where_the_services_say() {
        for (address, url) in [
            ("tgram://123:ABC/-100987", "https://api.telegram.org/bot123:ABC/sendMessage"),
            ("ntfy://photos", "https://ntfy.sh/"),
            ("ntfys://push.example:8443/photos", "https://push.example:8443/"),
            ("gotify://nas:8070/sub/TOKEN", "http://nas:8070/sub/message"),
            ("gotifys://nas/TOKEN", "https://nas/message"),
            ("pover://USER@TOKEN", "https://api.pushover.net/1/messages.json"),
            ("discord://123/abc", "https://discord.com/api/webhooks/123/abc"),
            ("https://discord.com/api/webhooks/123/abc", "https://discord.com/api/webhooks/123/abc"),
            ("slack://T1/B2/x3", "https://hooks.slack.com/services/T1/B2/x3"),
            ("https://hooks.slack.com/services/T1/B2/x3", "https://hooks.slack.com/services/T1/B2/x3"),
            ("apprise://nas:8000/home", "http://nas:8000/notify/home"),
            ("https://example.org/hook?key=1", "https://example.org/hook?key=1"),
        ] {
            assert_eq!(sent(address, Event::DamageFound, "x").0, url, "{address}");
        }
        let (_, body, _) = sent("https://discord.com/api/webhooks/123/abc", Event::RunOk, "x");
        assert!(body["content"].is_string(), "taken for a webhook of no kind: {body}");
        let (_, _, heads) = sent("ntfys://ann:s%3Acret@push.example/photos", Event::RunOk, "x");
        assert_eq!(heads, [("authorization", "Basic YW5uOnM6Y3JldA==".to_owned())]);
        let (_, _, heads) = sent("ntfys://tk_1@push.example/photos", Event::RunOk, "x");
        assert_eq!(heads, [("authorization", "Bearer tk_1".to_owned())]);
    }

    #[test]
    fn limits_of_the_services_are_kept_and_nothing_of_a_name_is_markup() {
        let long = "ü".repeat(5000);
        let length = |body: &serde_json::Value, field: &str| body[field].as_str().unwrap().chars().count();
        assert_eq!(length(&sent("tgram://1:a/2", Event::RunFailed, &long).1, "text"), 4096);
        assert_eq!(length(&sent("discord://1/a", Event::RunFailed, &long).1, "content"), 2000);
        assert_eq!(length(&sent("pover://u@t", Event::RunFailed, &long).1, "message"), 1024);
        let (_, body, _) = sent("discord://1/a", Event::RunFailed, "@everyone");
        assert_eq!(body["allowed_mentions"]["parse"], serde_json::json!([]));
        let (_, body, _) = sent("slack://a/b/c", Event::RunFailed, "<!channel> & co");
        assert!(body["text"].as_str().unwrap().contains("&lt;!channel&gt; &amp; co"));
    }

    #[test]
    fn a_wrong_address_is_named_by_its_kind_and_never_quoted() {
        for bad in [
            "s3cret",
            "tgram://s3cret",
            "ntfy://",
            "gotify://s3cret",
            "pover://s3cret",
            "discord://s3cret",
            "slack://s3cret/a",
            "apprise://s3cret",
            "mailto://s3cret",
            "exec://s3cret",
            "fax://s3cret",
            "mailtos://u:s3cret@host:port?from=a@b&to=c@d",
            "mailtos://u:s3cret@host?from=a",
        ] {
            let why = bad.parse::<Channel>().unwrap_err();
            assert!(!why.contains("s3cret"), "{why}");
        }
        for good in ["tgram://1:s3cret/2", "mailtos://u:s3cret@host?from=a@b.c&to=d@e.f"] {
            assert!(!format!("{:?}", channel(good)).contains("s3cret"));
        }
    }
}
