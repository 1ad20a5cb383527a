//! Names of groups where cameras are named.

use super::Context;

/// The names, with the members of groups, by name or pattern, in place of these. Where no topology can be
/// read each name is a camera's.
pub(super) fn members(context: &Context, names: &[String]) -> Vec<String> {
    let groups = context.topology().map(|topology| topology.groups).unwrap_or_default();
    let of = |name: &String| groups.get(name).cloned().unwrap_or_else(|| vec![name.clone()]);
    names.iter().flat_map(of).collect()
}
