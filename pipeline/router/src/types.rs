//! The type of a query that logs none: the type whose texts lie nearest, or, where the training window logged no types, a cluster.

use serde::{Deserialize, Serialize};

use crate::embedder::{DIMENSIONS, Embedder, EmbedderModel, EmbedderScratch, Embedding};
use crate::history::partition::centre;
use crate::profile::TextProfile;
use crate::request::Request;
use crate::schema::Dictionary;

/// Clusters where no types are logged, and rounds of the k-means that finds them.
const N_CLUSTERS: usize = 12;
const N_ROUNDS: usize = 10;

/// Centres of the types in the embedding space, in the order of their codes; zeros where a type has no texts with a direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TypeCentres {
    clusters: bool,
    centres: Vec<Vec<i16>>,
}

impl TypeCentres {
    /// The mean directions of logged types.
    pub(crate) fn of_types<'a>(requests: impl Iterator<Item = Request<'a>>, types: &Dictionary, embedder: &EmbedderModel) -> Self {
        let typed = requests.filter(|request| request.query_type.is_some());
        let sample = directions(typed, embedder);
        let code = |request: &Request<'_>| request.query_type.map(|name| types.code(name));
        let of_type =
            |wanted: usize| sample.iter().filter(move |(request, _)| code(request) == Some(wanted)).map(|(_, direction)| direction);
        Self { clusters: false, centres: (0..types.entries().len()).map(|wanted| centre(of_type(wanted)).0.to_vec()).collect() }
    }

    /// Clusters of the texts by k-means, started from texts that lie far apart.
    pub(crate) fn clusters<'a>(requests: impl Iterator<Item = Request<'a>>, embedder: &EmbedderModel) -> Self {
        let mut texts: Vec<Embedding> = directions(requests, embedder).into_iter().map(|(_, direction)| direction).collect();
        // Sorted, so that the order of the requests does not matter.
        texts.sort_unstable();
        let mut centres = far_apart(&texts);
        for _ in 0..N_ROUNDS {
            let nearest: Vec<usize> = texts.iter().map(|text| nearest(&centres, text).unwrap_or(0)).collect();
            for (cluster, slot) in centres.iter_mut().enumerate() {
                *slot = centre(texts.iter().zip(&nearest).filter(|(_, nearest)| **nearest == cluster).map(|(text, _)| text));
            }
        }
        Self { clusters: true, centres: centres.into_iter().map(|centre| centre.0.to_vec()).collect() }
    }

    /// Names of the clusters, in the order of their codes.
    pub(crate) fn names(&self) -> Vec<String> {
        (0..self.centres.len()).map(|cluster| format!("(cluster {cluster})")).collect()
    }

    /// Whether the types are clusters.
    pub(crate) fn are_clusters(&self) -> bool {
        self.clusters
    }

    /// Code of the nearest type.
    pub(crate) fn nearest(&self, embedding: &Embedding) -> Option<u16> {
        if *embedding == Embedding::ZERO {
            return None;
        }
        let dot = |centre: &[i16]| centre.iter().zip(&embedding.0).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum::<i32>();
        let codes = self.centres.iter().enumerate().map(|(code, centre)| (dot(centre), code));
        codes.reduce(|best, other| if other.0 > best.0 { other } else { best }).map(|(_, code)| code as u16)
    }

    /// Checks that there is one centre per type, of the right length.
    pub(crate) fn check(&self, n_types: usize) -> Result<(), String> {
        let n_centres = self.centres.len();
        if n_centres != n_types {
            return Err(format!("{n_centres} centres for {n_types} query types"));
        }
        let in_range = |centre: &Vec<i16>| centre.len() == DIMENSIONS && centre.iter().all(|number| number.abs() <= 127);
        if self.centres.iter().all(in_range) { Ok(()) } else { Err(format!("a centre must hold {DIMENSIONS} numbers from -127 to 127")) }
    }
}

/// Requests with their directions; texts without direction are left out.
fn directions<'a>(requests: impl Iterator<Item = Request<'a>>, embedder: &EmbedderModel) -> Vec<(Request<'a>, Embedding)> {
    let embedder = Embedder::new(embedder);
    let (mut profile, mut scratch) = (TextProfile::default(), EmbedderScratch::default());
    let mut embed = |request: Request<'a>| {
        profile.read(request.query);
        (request, embedder.embed(&request, &profile, &mut scratch))
    };
    requests.map(&mut embed).filter(|(_, embedding)| *embedding != Embedding::ZERO).collect()
}

/// Texts that lie far apart: each the one least similar to those before it.
fn far_apart(texts: &[Embedding]) -> Vec<Embedding> {
    let mut chosen: Vec<Embedding> = texts.first().copied().into_iter().collect();
    let mut closest = vec![i32::MIN; texts.len()];
    while let Some(last) = chosen.last().copied().filter(|_| chosen.len() < N_CLUSTERS) {
        for (closest, text) in closest.iter_mut().zip(texts) {
            *closest = (*closest).max(text.dot(&last));
        }
        let Some((farthest, _)) = texts.iter().zip(&closest).min_by_key(|(_, closest)| **closest) else { break };
        if chosen.contains(farthest) {
            break;
        }
        chosen.push(*farthest);
    }
    chosen
}

/// Position of the nearest centre, the first of equals.
fn nearest(centres: &[Embedding], text: &Embedding) -> Option<usize> {
    let dots = centres.iter().enumerate().map(|(position, centre)| (centre.dot(text), position));
    dots.reduce(|best, other| if other.0 > best.0 { other } else { best }).map(|(_, position)| position)
}

#[cfg(test)]
mod tests {
    use routewright_domain::{Paths, Seed, Timestamp};

    use super::*;
    use crate::schema::{Schema, SchemaSettings};

    fn texts() -> Vec<String> {
        (0..300).map(|row| if row % 2 == 0 { format!("restart server node {row}") } else { format!("write a summer poem {row}") }).collect()
    }

    fn schema(texts: &[String], query_type: fn(usize) -> Option<&'static str>) -> Schema {
        let requests = texts
            .iter()
            .enumerate()
            .map(|(row, text)| Request { query_type: query_type(row), ..Request::new(text, Timestamp(row as i64)) });
        Schema::fit(&Paths::from_names(["a", "b"]), requests, &SchemaSettings::default(), Seed(3)).unwrap()
    }

    fn type_of(schema: &Schema, text: &str) -> String {
        let embedder = Embedder::new(schema.embedder());
        let mut profile = TextProfile::default();
        profile.read(text);
        let direction = embedder.embed(&Request::new(text, Timestamp(0)), &profile, &mut EmbedderScratch::default());
        schema.query_types().entries()[usize::from(schema.nearest_type(&direction).unwrap())].clone()
    }

    #[test]
    fn a_query_without_a_type_gets_the_type_of_the_texts_nearest_to_it() {
        let schema = schema(&texts(), |row| Some(if row % 2 == 0 { "tool" } else { "chat" }));
        assert!(!schema.types_are_clusters());
        assert_eq!(type_of(&schema, "please restart the server"), "tool");
        assert_eq!(type_of(&schema, "a poem about summer"), "chat");
    }

    #[test]
    fn a_log_without_types_is_clustered() {
        let schema = schema(&texts(), |_| None);
        assert!(schema.types_are_clusters());
        assert_ne!(type_of(&schema, "restart the server node"), type_of(&schema, "write a summer poem"));
        assert_eq!(type_of(&schema, "restart server node 4"), type_of(&schema, "restart server node 8"));
    }
}
