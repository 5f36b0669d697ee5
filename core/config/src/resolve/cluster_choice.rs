//! Which cluster a route takes.

use std::sync::Arc;

use sidegate_api::LbMetadata;
use sidegate_router::{ClusterChoice, HeaderName, StreamVariable, WeightedCluster, WeightedClusters};

use super::metadata::lb_metadata;
use super::names::Names;
use super::route::text;
use crate::diagnostic::{Finding, kind};
use crate::reader::{Cursor, ObjectReader};
use crate::schema;

/// Reads `cluster_name`, `weighted_clusters`, `cluster_header` or
/// `cluster_variable`. `subset` is the route's `metadata_match`; `None` if that
/// has errors.
pub(super) fn cluster_choice(
    object: &mut ObjectReader<'_>,
    clusters: &Names,
    subset: Option<&LbMetadata>,
) -> Option<ClusterChoice> {
    let name = object.get("cluster_name");
    // An empty list beside a name is an absent one.
    let weighted = object.get("weighted_clusters").filter(|cursor| name.is_none() || !cursor.says_nothing());
    let header = text(object, "cluster_header");
    let variable = text(object, "cluster_variable");
    let otherwise = weighted.is_some() || header.is_some() || variable.is_some();
    let name = name.filter(|cursor| !otherwise || !cursor.says_nothing());
    if !otherwise && name.is_none() {
        object.missing("cluster_name", "a cluster");
    }
    match (name, weighted, header, variable) {
        (Some(cursor), None, None, None) => {
            let name = cursor.name()?;
            clusters.check(&cursor, "cluster", name).then(|| ClusterChoice::Named(name.into()))
        }
        (name, Some(weighted), None, None) => {
            if let Some(name) = name {
                name.inert("ignored beside `weighted_clusters`, as in MOSN");
            }
            weighted_clusters(&weighted, clusters, subset).map(ClusterChoice::Weighted)
        }
        (None, None, Some((cursor, _)), None) => {
            cursor.parsed(HeaderName::parse_readable).map(ClusterChoice::FromHeader)
        }
        (None, None, None, Some((cursor, _))) => {
            cursor.parsed(StreamVariable::parse_early).map(ClusterChoice::FromVariable)
        }
        (None, None, None, None) => None,
        _ => {
            let expected = "one of `cluster_name`, `weighted_clusters`, `cluster_header` and `cluster_variable`";
            object.cursor().error(Finding::mismatch(kind::BAD_VALUE, expected, "several of them"));
            None
        }
    }
}

fn weighted_clusters(cursor: &Cursor<'_>, names: &Names, subset: Option<&LbMetadata>) -> Option<WeightedClusters> {
    let elements = cursor.array()?;
    let clusters: Vec<_> = elements.iter().map(|element| weighted_cluster(element, names, subset)).collect();
    let clusters = clusters.into_iter().collect::<Option<Vec<_>>>()?;
    WeightedClusters::new(clusters)
        .map_err(|problem| cursor.error(Finding::mismatch(kind::BAD_VALUE, expected(&problem), "none")))
        .ok()
}

fn expected(problem: &impl ToString) -> String {
    let text = problem.to_string();
    text.strip_prefix("expected ").unwrap_or(&text).to_owned()
}

fn weighted_cluster(cursor: &Cursor<'_>, names: &Names, subset: Option<&LbMetadata>) -> Option<WeightedCluster> {
    let mut outer = cursor.object(&schema::WEIGHTED_CLUSTER)?;
    let object = outer.required("cluster").and_then(|c| c.object(&schema::WEIGHTED));
    outer.finish();
    let mut object = object?;
    let name = object.required("name").and_then(|cursor| {
        let name = cursor.name()?;
        names.check(&cursor, "cluster", name).then(|| Arc::from(name))
    });
    let weight = object.required("weight").and_then(|c| c.integer());
    let own = object.get("metadata_match").map_or(Some(LbMetadata::default()), |c| lb_metadata(&c));
    object.finish();
    let weight = u32::try_from(weight?).ok()?;
    Some(WeightedCluster { name: name?, weight, subset: own?.over(subset?) })
}
