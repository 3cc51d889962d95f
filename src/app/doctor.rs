//! `shoebox doctor`.

use std::path::Path;

use serde_json::json;

use crate::doctor::{Finding, Severity, host, volume};
use crate::exit;
use crate::remote::browser::launch::BrowserSettings;

/// Examines the volume of an archive, where one is given, and the machine.
pub async fn examine(
    data: Option<&Path>,
    profile: Option<&Path>,
    browser: &BrowserSettings,
    json: bool,
) -> anyhow::Result<u8> {
    let volume = data.map(volume::examine);
    let host = host::examine(browser, profile).await;
    let worst = volume.iter().flatten().chain(&host).map(|finding| finding.severity).max();
    if json {
        println!("{}", json!({"volume": volume, "machine": host, "worst": worst}));
    } else {
        if let (Some(data), Some(findings)) = (data, &volume) {
            println!("The volume of {}", data.display());
            findings.iter().for_each(print);
            println!();
        }
        println!("This machine");
        host.iter().for_each(print);
        println!();
        println!(
            "{}",
            match worst {
                Some(Severity::Bad) => "Something must be mended first.",
                Some(Severity::Doubtful) => "It will work; see what is marked with `!`.",
                _ => "Everything is as it should be.",
            }
        );
    }
    Ok(if worst == Some(Severity::Bad) { exit::FAILURE } else { exit::OK })
}

fn print(finding: &Finding) {
    let mark = match finding.severity {
        Severity::Good => "ok ",
        Severity::Doubtful => " ! ",
        Severity::Bad => "BAD",
    };
    println!("  {mark} {:<12} {}", finding.about, finding.found);
    if let Some(advice) = finding.advice {
        println!("                   -> {advice}");
    }
}
