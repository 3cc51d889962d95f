//! Signed addresses: short-lived, of one part of one item, on the host that serves the item.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hyper::StatusCode;

use crate::model::PartRole;

/// What a signed address stands for.
#[derive(Clone)]
struct Grant {
    key: String,
    role: PartRole,
    made: Instant,
    used: bool,
}

/// Signed addresses that were given out.
pub(crate) struct Addresses {
    grants: Mutex<HashMap<String, Grant>>,
    random: Mutex<fastrand::Rng>,
    life: Duration,
    single_use: bool,
}

impl Addresses {
    pub(crate) fn new(seed: u64, life: Duration, single_use: bool) -> Self {
        let random = Mutex::new(fastrand::Rng::with_seed(seed ^ 0xadd));
        Self { grants: Mutex::default(), random, life, single_use }
    }

    pub(crate) fn grant(&self, key: &str, role: PartRole) -> String {
        let token: String = {
            let mut random = self.random.lock().unwrap_or_else(|p| p.into_inner());
            (0..96).map(|_| random.alphanumeric()).collect()
        };
        let mut grants = self.grants.lock().unwrap_or_else(|p| p.into_inner());
        grants.retain(|_, grant| grant.made.elapsed() < self.life);
        grants.insert(token.clone(), Grant { key: key.to_owned(), role, made: Instant::now(), used: false });
        token
    }

    pub(crate) fn redeem(&self, token: &str) -> Result<(String, PartRole), StatusCode> {
        let mut grants = self.grants.lock().unwrap_or_else(|p| p.into_inner());
        let grant = grants.get_mut(token).ok_or(StatusCode::FORBIDDEN)?;
        if grant.made.elapsed() > self.life || (grant.used && self.single_use) {
            return Err(StatusCode::GONE);
        }
        grant.used = true;
        Ok((grant.key.clone(), grant.role))
    }
}
