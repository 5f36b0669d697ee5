//! What a schema may cost before it is compiled: a stranger wrote it, and
//! reading and applying one recurses and branches as it says.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// Schemas within each other, references followed.
const MAX_DEPTH: usize = 256;
/// Schemas that one value is held to at most, references followed.
const MAX_WEIGHT: u64 = 4096;

/// Refuses a schema that refers to more than places in itself, nests too deeply
/// or multiplies.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    Walk { root: schema, seen: HashMap::new() }.visit(schema, 0).map(drop)
}

struct Walk<'a> {
    root: &'a Value,
    /// By address; `None` while it is being walked.
    seen: HashMap<*const Value, Option<Cost>>,
}

#[derive(Debug, Clone, Copy)]
struct Cost {
    /// Schemas that a value is held to, this one included.
    weight: u64,
    /// Schemas below this one.
    depth: usize,
}

/// A schema that another one contains or names.
enum Part<'a> {
    /// For the same value.
    Same(&'a Value),
    /// For a part of it, or for whoever refers to it.
    Other(&'a Value),
}

impl<'a> Walk<'a> {
    fn visit(&mut self, schema: &'a Value, level: usize) -> Result<Cost, String> {
        let Some(keywords) = schema.as_object() else { return Ok(Cost { weight: 1, depth: 0 }) };
        let cost = match self.seen.get(&std::ptr::from_ref(schema)) {
            Some(Some(known)) => *known,
            // Round in a circle: validators see that no value makes progress.
            Some(None) => return Ok(Cost { weight: 1, depth: 0 }),
            None => self.visit_new(schema, keywords, level)?,
        };
        if level + cost.depth > MAX_DEPTH {
            return Err(format!("expected at most {MAX_DEPTH} schemas within each other"));
        }
        Ok(cost)
    }

    fn visit_new(&mut self, schema: &'a Value, keywords: &'a Map<String, Value>, level: usize) -> Result<Cost, String> {
        if level > MAX_DEPTH {
            return Err(format!("expected at most {MAX_DEPTH} schemas within each other"));
        }
        let id = std::ptr::from_ref(schema);
        self.seen.insert(id, None);
        let mut cost = Cost { weight: 1, depth: 0 };
        for part in self.parts(schema, keywords)? {
            let (part, same) = match part {
                Part::Same(part) => (part, true),
                Part::Other(part) => (part, false),
            };
            let of = self.visit(part, level + 1)?;
            cost.depth = cost.depth.max(of.depth + 1);
            if same {
                cost.weight = cost.weight.saturating_add(of.weight);
            }
        }
        if cost.weight > MAX_WEIGHT {
            return Err(format!("expected at most {MAX_WEIGHT} schemas for one value"));
        }
        self.seen.insert(id, Some(cost));
        Ok(cost)
    }

    fn parts(&self, schema: &'a Value, keywords: &'a Map<String, Value>) -> Result<Vec<Part<'a>>, String> {
        let mut parts = Vec::new();
        for (keyword, value) in keywords {
            match (keyword.as_str(), value) {
                ("const" | "enum" | "default" | "examples", _) => {}
                ("$ref", Value::String(place)) => parts.push(Part::Same(self.resolve(place)?)),
                ("$dynamicRef" | "$recursiveRef", Value::String(_)) => {
                    return Err(format!("expected `$ref` for references, found `{keyword}`"));
                }
                ("$id", Value::String(_)) if !std::ptr::eq(schema, self.root) => {
                    return Err("expected no `$id` below the root".to_owned());
                }
                ("dependentSchemas" | "dependencies", Value::Object(map)) => parts.extend(map.values().map(Part::Same)),
                ("properties" | "patternProperties" | "$defs" | "definitions", Value::Object(map)) => {
                    parts.extend(map.values().map(Part::Other));
                }
                ("not" | "if" | "then" | "else", of) => parts.push(Part::Same(of)),
                ("allOf" | "anyOf" | "oneOf", Value::Array(list)) => parts.extend(list.iter().map(Part::Same)),
                (_, Value::Array(list)) => parts.extend(list.iter().map(Part::Other)),
                (_, of) => parts.push(Part::Other(of)),
            }
        }
        Ok(parts)
    }

    fn resolve(&self, place: &str) -> Result<&'a Value, String> {
        let pointer = place.strip_prefix('#').filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
        let target = pointer.and_then(|pointer| self.root.pointer(pointer));
        target.ok_or_else(|| format!("expected references to places in it, as `#/$defs/name`, found {place:?}"))
    }
}
