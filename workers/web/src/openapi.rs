//! The API's own description (OpenAPI 3.1), made of the table of routes and of the types that they answer with.

use std::sync::OnceLock;

use axum::Json;
use axum::extract::Extension;
use axum::response::{IntoResponse, Response};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::answer::{Refused, fresh};
use crate::guard::Base;
use crate::guard::need::Need;
use crate::route::{Route, routes};

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a path is for.
#[derive(Clone, Debug)]
pub struct Operation {
    summary: &'static str,
    status: u16,
    content: Vec<Content>,
    query: &'static [&'static str],
    body: Option<Content>,
}

/// What is answered.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    media_type: &'static str,
    schema: Option<SchemaOf>,
}

impl Content {
    pub fn json<T: JsonSchema>() -> Self {
        Self { media_type: "application/json", schema: Some(schema_of::<T>) }
    }

    /// Server-Sent Events whose data are such; a WebSocket has the same.
    pub fn events<T: JsonSchema>() -> Self {
        Self { media_type: "text/event-stream", schema: Some(schema_of::<T>) }
    }

    pub fn text(media_type: &'static str) -> Self {
        Self { media_type, schema: Some(schema_of::<String>) }
    }

    pub fn bytes(media_type: &'static str) -> Self {
        Self { media_type, schema: None }
    }
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Operation {
    pub fn new(summary: &'static str, content: Content) -> Self {
        Self { summary, status: 200, content: vec![content], query: &[], body: None }
    }

    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// It takes JSON of this type.
    pub fn taking<T: JsonSchema>(self) -> Self {
        Self { body: Some(Content::json::<T>()), ..self }
    }

    /// It takes text of this type.
    pub fn taking_text(self, media_type: &'static str) -> Self {
        Self { body: Some(Content::text(media_type)), ..self }
    }

    pub fn asking(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    pub fn or(mut self, content: Content) -> Self {
        self.content.push(content);
        self
    }
}

/// `/api/v1/openapi.json`.
pub async fn document(Extension(Base(base)): Extension<Base>) -> Response {
    static DESCRIBED: OnceLock<Value> = OnceLock::new();
    let mut document = DESCRIBED.get_or_init(|| describe(&routes())).clone();
    document["servers"] = json!([{ "url": if base.is_empty() { "/".to_owned() } else { base } }]);
    fresh(Json(document)).into_response()
}

/// All that has an operation.
pub fn describe(routes: &[Route]) -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut answers = settings.clone().into_generator();
    // What is left out of an answer is told apart from what may be left out of a question.
    let mut questions = settings.for_deserialize().into_generator();
    let mut paths: Map<String, Value> = Map::new();
    let refusal = answers.subschema_for::<Refused>();
    for route in routes {
        let Some(operation) = &route.operation else { continue };
        let described = operation_of(route, operation, &refusal, (&mut answers, &mut questions));
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = described;
    }
    let mut schemas = questions.take_definitions(true);
    schemas.append(&mut answers.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "framevisor",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Cameras, workers, rings, events and recordings of one project",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "digest": {"type": "http", "scheme": "digest"},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
    })
}

fn operation_of(
    route: &Route,
    operation: &Operation,
    refusal: &Schema,
    (answers, questions): (&mut SchemaGenerator, &mut SchemaGenerator),
) -> Value {
    let content: Map<String, Value> = operation
        .content
        .iter()
        .map(|content| (content.media_type.to_owned(), content_of(content, answers)))
        .collect();
    let refused = json!({
        "description": "Refused: what is wrong, and what to do",
        "content": {"application/json": {"schema": refusal}},
    });
    let mut described = json!({
        "operationId": id_of(route),
        "summary": operation.summary,
        "parameters": parameters(route, operation),
        "responses": {
            operation.status.to_string(): {"description": operation.summary, "content": content},
            "default": refused,
        },
        "security": security(route.need),
    });
    if let Some(body) = operation.body {
        let content = Map::from_iter([(body.media_type.to_owned(), content_of(&body, questions))]);
        described["requestBody"] = json!({"required": true, "content": content});
    }
    described
}

fn content_of(content: &Content, generator: &mut SchemaGenerator) -> Value {
    match content.schema {
        Some(schema) => json!({ "schema": schema(generator) }),
        None => json!({}),
    }
}

/// `get_api_v1_cameras`; programs are made with such names.
fn id_of(route: &Route) -> String {
    let words = route.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|it| !it.is_empty());
    let method = route.method.as_str().to_ascii_lowercase();
    [method.as_str()].into_iter().chain(words).collect::<Vec<_>>().join("_")
}

fn parameters(route: &Route, operation: &Operation) -> Vec<Value> {
    let names = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = names.map(|name| parameter(name, "path", true));
    let in_query = operation.query.iter().map(|name| parameter(name, "query", false));
    in_path.chain(in_query).collect()
}

fn parameter(name: &str, place: &str, required: bool) -> Value {
    json!({"name": name, "in": place, "required": required, "schema": {"type": "string"}})
}

/// One of them will do; an empty one is nobody in particular.
fn security(need: Need) -> Value {
    match need {
        Need::Nothing => json!([]),
        Need::Change(_) => json!([{ "token": [] }]),
        Need::All | Need::Any | Need::Camera => {
            json!([{ "basic": [] }, { "digest": [] }, { "token": [] }, {}])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_a_name_of_its_own_and_every_reference_leads_somewhere() {
        let document = describe(&routes());
        let mut ids = Vec::new();
        for methods in document["paths"].as_object().unwrap().values() {
            for operation in methods.as_object().unwrap().values() {
                ids.push(operation["operationId"].as_str().unwrap().to_owned());
            }
        }
        assert!(ids.contains(&"post_api_v1_workers_worker_restart".to_owned()), "{ids:?}");
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count);
        let text = document.to_string();
        let references =
            text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next());
        let mut led = 0;
        for reference in references {
            assert!(document.pointer(reference).is_some(), "{reference}");
            led += 1;
        }
        assert!(led > 10, "{led}");
    }

    #[test]
    fn what_changes_something_takes_a_token_and_nothing_else() {
        let (all, mut changes) = (routes(), 0);
        let document = describe(&all);
        for route in all.iter().filter(|route| route.operation.is_some()) {
            let method = route.method.as_str().to_ascii_lowercase();
            let security = &document["paths"][route.path][&method]["security"];
            assert!(security.is_array(), "{route:?}");
            let is_change = matches!(route.need, Need::Change(_));
            assert_eq!(*security == json!([{ "token": [] }]), is_change, "{route:?}");
            changes += u32::from(is_change);
        }
        assert!(changes > 2, "{changes}");
    }
}
