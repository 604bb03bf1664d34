//! What a report says of itself, as JSON: title, description, and its parameters as JSON Schema.

use report_core::json::Json;
use report_core::question::LIMIT_MOST;

use crate::answer::write_constant;
use crate::spec::{Parameter, Spec, Type};

/// Describes the view before it has a specification.
pub fn unconfigured() -> String {
    let mut json = Json::new();
    json.open('{').key("title").text("Report");
    json.key("description")
        .text("Any report, without code: config says which members are read, filtered, grouped and listed.");
    json.key("version").text(env!("CARGO_PKG_VERSION"));
    json.key("parameters").open('{').key("type").text("object").close('}').close('}');
    json.finish()
}

/// Describes a report.
pub fn of(spec: &Spec) -> String {
    let mut json = Json::new();
    json.open('{').key("title").text(&spec.title);
    json.key("description").text(spec.description.as_deref().unwrap_or_default());
    json.key("version").text(env!("CARGO_PKG_VERSION"));
    json.key("columns").open('[');
    spec.column_names().into_iter().for_each(|name| {
        json.text(name);
    });
    json.close(']');
    json.key("parameters").open('{').key("type").text("object").key("additionalProperties").raw("false");
    json.key("required").open('[');
    spec.parameters.iter().filter(|parameter| parameter.required).for_each(|parameter| {
        json.text(&parameter.name);
    });
    json.close(']').key("properties").open('{');
    spec.parameters.iter().for_each(|parameter| write_parameter(parameter, &mut json));
    json.key("limit").open('{').key("type").text("integer").key("minimum").number(1);
    json.key("maximum").number(LIMIT_MOST as u64).key("default").number(spec.limit as u64);
    json.key("description")
        .text("The most rows of a page; cover.truncated says when there are more.")
        .close('}');
    json.key("cursor").open('{').key("type").text("string");
    json.key("description").text("Go on where an answer ended: its cover.next.").close('}');
    json.close('}').close('}').close('}');
    json.finish()
}

fn write_parameter(parameter: &Parameter, json: &mut Json) {
    json.key(&parameter.name).open('{');
    if parameter.repeat {
        json.key("type").text("array").key("items").open('{');
        write_type(parameter, json);
        json.close('}');
    } else {
        write_type(parameter, json);
    }
    if let Some(description) = &parameter.description {
        json.key("description").text(description);
    }
    match &parameter.default[..] {
        [] => {}
        [only] if !parameter.repeat => {
            json.key("default");
            write_constant(only, parameter.kind, json);
        }
        all => {
            json.key("default").open('[');
            all.iter().for_each(|value| write_constant(value, parameter.kind, json));
            json.close(']');
        }
    }
    json.close('}');
}

fn write_type(parameter: &Parameter, json: &mut Json) {
    match parameter.kind {
        Type::Text => json.key("type").text("string").key("minLength").number(1),
        Type::Integer => json.key("type").text("integer"),
        Type::Number => json.key("type").text("number"),
        Type::Flag => json.key("type").text("boolean"),
        Type::Time => json.key("type").text("string").key("format").text("date-time"),
    };
    if !parameter.one_of.is_empty() {
        json.key("enum").open('[');
        parameter.one_of.iter().for_each(|value| write_constant(value, parameter.kind, json));
        json.close(']');
    }
}
