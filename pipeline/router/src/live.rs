//! The router in service: replaced while others decide, with the answers to repeated queries kept for a while.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};

use quick_cache::sync::Cache;
use routewright_domain::Scalar;
use serde::{Deserialize, Serialize};

use crate::request::Request;
use crate::service::{Decided, Router, RouterScratch};

/// How answers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheSettings {
    /// Answers that are kept; 0 keeps none.
    pub entries: usize,
    /// Seconds for which an answer holds: features of time and history stand still that long.
    pub seconds: u32,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self { entries: 4096, seconds: 60 }
    }
}

/// How often an answer was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CacheCounts {
    /// Queries that were answered from the cache.
    pub hits: u64,
    /// Queries that had to be decided.
    pub misses: u64,
}

impl CacheCounts {
    /// Share of the queries that were answered from the cache; 0 before the first.
    pub fn hit_rate(self) -> f64 {
        self.hits as f64 / (self.hits + self.misses).max(1) as f64
    }
}

/// A router that can be exchanged, shared by threads.
#[derive(Debug)]
pub struct Live {
    current: RwLock<(u64, Arc<Router>)>,
    cache: Option<Cache<[u64; 2], Decided>>,
    seconds: u32,
    /// Two keyed hashes make a key of 128 bits that nobody outside can steer.
    hashers: [RandomState; 2],
}

impl Live {
    /// Puts a router into service.
    pub fn new(router: Router, settings: CacheSettings) -> Self {
        Self {
            current: RwLock::new((0, Arc::new(router))),
            cache: (settings.entries > 0).then(|| Cache::new(settings.entries)),
            seconds: settings.seconds.max(1),
            hashers: [RandomState::new(), RandomState::new()],
        }
    }

    /// The router in service; it stays usable when another takes its place.
    pub fn router(&self) -> Arc<Router> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// Puts another router into service and returns the one before. Decisions under way end with the old one; kept answers are forgotten.
    pub fn swap(&self, router: Router) -> Arc<Router> {
        let router = Arc::new(router);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let generation = current.0 + 1;
        std::mem::replace(&mut *current, (generation, router)).1
    }

    /// Decides, or repeats what was decided on the same request within [`CacheSettings::seconds`]. Allocates nothing after the first few.
    ///
    /// `scratch` holds the row and the predictions of the last request that was not repeated.
    pub fn decide(&self, request: &Request<'_>, scratch: &mut RouterScratch) -> Decided {
        let (generation, router) = {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            (current.0, current.1.clone())
        };
        let Some(cache) = &self.cache else { return router.decide(request, scratch) };
        let key = self.hashers.each_ref().map(|state| self.digest(state, request, generation));
        if let Some(kept) = cache.get(&key) {
            return kept;
        }
        let decided = router.decide(request, scratch);
        cache.insert(key, decided);
        decided
    }

    /// How often an answer was there.
    pub fn counts(&self) -> CacheCounts {
        self.cache.as_ref().map_or_else(CacheCounts::default, |cache| CacheCounts { hits: cache.hits(), misses: cache.misses() })
    }

    /// One half of a key: everything that a decision depends on.
    fn digest(&self, state: &RandomState, request: &Request<'_>, generation: u64) -> u64 {
        let mut hasher = state.build_hasher();
        let Request { query, timestamp, query_type, complexity, static_path, session_id, sentence, extras } = *request;
        (generation, timestamp.0.div_euclid(i64::from(self.seconds) * 1_000_000)).hash(&mut hasher);
        (query, query_type, complexity, static_path, session_id).hash(&mut hasher);
        sentence.map(<[f32]>::len).hash(&mut hasher);
        sentence.unwrap_or_default().iter().for_each(|number| number.to_bits().hash(&mut hasher));
        extras.len().hash(&mut hasher);
        for (key, value) in extras {
            key.hash(&mut hasher);
            match value {
                Scalar::Bool(flag) => (0_u8, flag).hash(&mut hasher),
                Scalar::Number(number) => (1_u8, number.to_bits()).hash(&mut hasher),
                Scalar::Text(text) => (2_u8, text).hash(&mut hasher),
                Scalar::List(texts) => (3_u8, texts).hash(&mut hasher),
            }
        }
        hasher.finish()
    }
}
