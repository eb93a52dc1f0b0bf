//! The OpenAPI 3.1 document, derived from the list of routes.

use std::sync::LazyLock;

use axum::Json;
use axum::routing::get;
use http::{Method, Uri};
use serde_json::{Map, Value, json};

use super::caller::Caller;
use super::route::{Access, Answer, Field, Kind, Param, Route};
use crate::error::ApiError;

static DOCUMENT: Route = Route {
    method: Method::GET,
    path: "/v1/openapi.json",
    summary: "This document",
    access: Access::Caller,
    asked: None,
    query: &[],
    body: None,
    answer: Answer::Json(200, &[]),
    handler: || get(document),
};

pub(super) static ROUTES: &[&Route] = &[&DOCUMENT];

async fn document(Caller(_): Caller, uri: Uri) -> Result<Json<&'static Value>, ApiError> {
    static DERIVED: LazyLock<Value> = LazyLock::new(derive);
    DOCUMENT.params(&uri)?;
    Ok(Json(&DERIVED))
}

fn derive() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in super::ROUTES.iter().copied().flatten() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Millrace",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The native API. AWS clients use the Kinesis Video Streams API on the same port.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": { "schemas": { "Error": error() }, "securitySchemes": security_schemes() },
    })
}

fn operation(route: &Route) -> Value {
    let named = path_parameters(route.path)
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let asked = route.query.iter().map(query_parameter);
    let mut operation = json!({
        "summary": route.summary,
        "operationId": operation_id(route),
        "parameters": named.chain(asked).collect::<Vec<_>>(),
        "responses": responses(route),
        "security": security(route.access),
    });
    if let Some(fields) = route.body {
        let schema = if fields.is_empty() { tags() } else { object(fields) };
        let required = fields.iter().any(|field| field.required);
        operation["requestBody"] =
            json!({ "required": required, "content": { "application/json": { "schema": schema } } });
    }
    operation
}

/// `get_v1_streams_name_labels`
fn operation_id(route: &Route) -> String {
    let words = route.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let method = route.method.as_str().to_ascii_lowercase();
    std::iter::once(method.as_str()).chain(words).collect::<Vec<_>>().join("_")
}

fn path_parameters(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn query_parameter(param: &Param) -> Value {
    json!({ "name": param.name, "in": "query", "description": param.about, "schema": schema(&param.kind) })
}

fn responses(route: &Route) -> Value {
    let (status, mut success) = match &route.answer {
        Answer::Json(status, fields) => (*status, content("application/json", &object(*fields))),
        Answer::Joined(status, some, others) => {
            (*status, content("application/json", &object(some.iter().chain(*others))))
        }
        Answer::Lines(status, fields) => (*status, content("application/x-ndjson", &object(*fields))),
        Answer::Tags(status) => (*status, content("application/json", &tags())),
        Answer::Other(status, kind) => (*status, content(kind, &json!({}))),
        Answer::Empty(status) => (*status, json!({})),
    };
    success["description"] = route.summary.into();
    let mut error = content("application/json", &json!({ "$ref": "#/components/schemas/Error" }));
    error["description"] = "What was wrong, where, and what to do".into();
    let mut responses = Map::new();
    responses.insert(status.to_string(), success);
    responses.insert("default".into(), error);
    Value::Object(responses)
}

fn content(kind: &str, schema: &Value) -> Value {
    json!({ "content": { kind: { "schema": schema } } })
}

fn security(access: Access) -> Value {
    match access {
        Access::Public => json!([]),
        Access::Caller => json!([{ "sigv4": [] }, { "device": [] }, { "session": [] }]),
        Access::Viewer => json!([{ "sigv4": [] }, { "device": [] }, { "session": [] }, { "url": [] }]),
        Access::Administrator => json!([{ "sigv4": [] }, { "session": [] }]),
    }
}

fn security_schemes() -> Value {
    json!({
        "sigv4": {
            "type": "apiKey", "in": "header", "name": "Authorization",
            "description": "AWS Signature Version 4, service kinesisvideo, in the header or the query",
        },
        "device": {
            "type": "http", "scheme": "bearer",
            "description": "The token of a device credential that may play, or publish to post an event",
        },
        "session": {
            "type": "apiKey", "in": "cookie", "name": "millrace_session",
            "description": "Of POST /v1/session; changes need the header x-millrace-console: 1 too",
        },
        "url": {
            "type": "apiKey", "in": "query", "name": "token",
            "description": "Of POST /v1/streams/{name}/urls",
        },
    })
}

fn error() -> Value {
    const ERROR: &[Field] = &[
        Field::new("code", Kind::Text, "a word for programs"),
        Field::new("message", Kind::Text, "what was wrong, where, and what to do"),
    ];
    object(&[Field::new("error", Kind::Object(ERROR), "why the request was refused")])
}

fn schema(kind: &Kind) -> Value {
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Choice(words) => json!({ "type": "string", "enum": words }),
        Kind::Whole { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Number => json!({ "type": "number" }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Time => json!({ "type": "string", "format": "date-time" }),
        Kind::Tags => tags(),
        Kind::List(of) => json!({ "type": "array", "items": schema(of) }),
        Kind::Object(fields) => object(*fields),
    }
}

fn tags() -> Value {
    json!({ "type": "object", "additionalProperties": { "type": "string" } })
}

fn object<'f>(fields: impl IntoIterator<Item = &'f Field>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in fields {
        let mut schema = schema(&field.kind);
        schema["description"] = field.about.into();
        properties.insert(field.name.into(), schema);
        if field.required {
            required.push(field.name);
        }
    }
    json!({ "type": "object", "properties": properties, "required": required })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mounted_route_is_described_once() {
        let document = derive();
        let mut ids = std::collections::BTreeSet::new();
        for route in super::super::ROUTES.iter().copied().flatten() {
            let method = route.method.as_str().to_ascii_lowercase();
            let operation = &document["paths"][route.path][&method];
            assert_eq!(operation["summary"], route.summary, "{method} {}", route.path);
            assert!(ids.insert(operation_id(route)), "{method} {} stands twice", route.path);
            let parameters = operation["parameters"].as_array().unwrap();
            assert_eq!(parameters.len(), path_parameters(route.path).count() + route.query.len());
            assert!(!operation["responses"].as_object().unwrap().is_empty());
        }
        let described: usize =
            document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(described, ids.len());
        let _mounted = super::super::routes();
    }

    #[test]
    fn the_document_speaks_json_schema() {
        let document = derive();
        let limit = &document["paths"]["/v1/fragments"]["get"]["parameters"];
        let limit = limit.as_array().unwrap().iter().find(|one| one["name"] == "limit").unwrap();
        assert_eq!(limit["schema"], json!({ "type": "integer", "minimum": 1, "maximum": 1000 }));
        let url = &document["paths"]["/v1/streams/{name}/urls"]["post"]["requestBody"];
        assert_eq!(url["content"]["application/json"]["schema"]["required"], json!(["format"]));
    }
}
